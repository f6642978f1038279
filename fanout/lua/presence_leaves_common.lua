-- How sessions and users leave a room. Behind presence_common.lua and presence_told_common.lua in the head of the scripts
-- by which any do.

-- Remove sessions of users: `taken` is user → how many. A user without sessions begins to leave. Returns whether one
-- does.
local function remove_sessions(taken, shown_at)
  local sessions, leaves = 0, false
  for user_id, lost in pairs(taken) do
    sessions = sessions + lost
    local count, since, name = read_user(redis.call('HGET', USERS, user_id))
    if count then
      count = math.max(count - lost, 0)
      set_user(user_id, digits(count) .. '|' .. since .. '|' .. name)
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
  return leaves
end

-- Those of these users that have no sessions, in order, until there are as many events to publish: user and entry of
-- each, one behind the other. And the users that leave no longer.
local function find_gone(user_ids, events_max)
  local entries = redis.call('HMGET', USERS, unpack(user_ids))
  local gone, ended, count = {}, {}, redis.call('HLEN', USERS)
  local events = 0
  for at, user_id in ipairs(user_ids) do
    if events == events_max then
      break
    end
    ended[#ended + 1] = user_id
    if read_user(entries[at]) == 0 then
      gone[#gone + 1], gone[#gone + 2] = user_id, entries[at]
      count = count - 1
      if count <= EVENTS_MAX then
        events = events + 1
      end
    end
  end
  return gone, ended
end

-- The users of the room when those from `at` on in `gone` had not left yet; false: there are more than inline_max.
local function users_before(users, gone, at)
  if not users or #users + #gone - at + 1 > 2 * INLINE_MAX then
    return false
  end
  local listed = { unpack(users) }
  for more = at, #gone do
    listed[#listed + 1] = gone[more]
  end
  return listed
end

-- Show the leaves of these users, in order, until `events_max` events were published. Returns how many leaves were
-- shown, how many of them by an event, and how many users are left; nil, if no user was given.
local function show_leaves(user_ids, events_max)
  if #user_ids == 0 then
    return 0, 0
  end
  local gone, ended = find_gone(user_ids, events_max)
  count_meta('l', -redis.call('ZREM', LEAVING, unpack(ended)))
  if #gone == 0 then
    return 0, 0
  end
  local names = {}
  for at = 1, #gone, 2 do
    names[#names + 1] = gone[at]
  end
  count_meta('u', -redis.call('HDEL', USERS, unpack(names)))
  local users, left = list_users()
  if left > 0 then
    redis.call('ZADD', ROOMS, left, ROOM)
  end
  local published = 0
  for at, user_id in ipairs(names) do
    local count = left + #names - at
    local _, _, name = read_user(gone[2 * at])
    tell_left(user_id, name, count)
    if count <= EVENTS_MAX then
      publish_change('left', user_id, name, users_before(users, gone, 2 * at + 1), count)
      published = published + 1
    end
  end
  if #names > published and left > EVENTS_MAX then
    set_meta('big', 1)
    publish_count()
  end
  return #names, published, left
end

-- Delete all keys of a room without users. Returns whether it was one. Sessions without users: the users were lost.
local function forget_if_empty()
  if read_meta('s') > 0 or redis.call('EXISTS', USERS) == 1 then
    return false
  end
  redis.call('DEL', LEAVING, META)
  redis.call('ZREM', ROOMS, ROOM)
  redis.call('ZREM', DUE, ROOM)
  meta, unwritten = nil, {}
  return true
end
