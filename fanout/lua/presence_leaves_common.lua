-- How sessions and users leave a room. Behind presence_common.lua in the head of the scripts by which any do.

-- Remove sessions of users: `taken` is user → how many. A user without sessions begins to leave.
local function remove_sessions(taken, shown_at)
  local sessions, leaves = 0, false
  for user_id, lost in pairs(taken) do
    sessions = sessions + lost
    local count, since, name = user(user_id)
    if count then
      count = math.max(count - lost, 0)
      set_user(user_id, count, since, name)
      if count == 0 then
        begin_leave(user_id, shown_at)
        leaves = true
      end
    end
  end
  if leaves then
    sweep_at(shown_at)
  end
  count_meta('s', -sessions)
end

-- Show the leaves of these users, in order, until `events_max` events were published. Returns how many leaves were
-- shown, and how many of them by an event.
local function show_leaves(user_ids, events_max)
  local count, shown, published, removed = redis.call('HLEN', USERS), 0, 0, 0
  for _, user_id in ipairs(user_ids) do
    if published == events_max then
      break
    end
    local sessions, _, name = user(user_id)
    if sessions == 0 then
      removed = removed + redis.call('HDEL', USERS, user_id)
    end
    end_leave(user_id)
    if sessions == 0 then
      count, shown = count - 1, shown + 1
      if count <= EVENTS_MAX then
        changed('left', user_id, name)
        published = published + 1
      end
    end
  end
  if shown > published and count > EVENTS_MAX then
    changed()
  end
  count_meta('u', -removed)
  return shown, published
end

-- Delete all keys of a room without users. Returns whether it was one. Sessions without users: the users were lost.
local function forget_if_empty()
  if redis.call('EXISTS', USERS) == 1 or read_meta('s') > 0 then
    return false
  end
  redis.call('DEL', LEAVING, META)
  redis.call('ZREM', ROOMS, ROOM)
  redis.call('ZREM', DUE, ROOM)
  meta, unwritten = nil, {}
  return true
end
