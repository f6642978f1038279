-- The users in a room. The head of every presence_*.lua script that works on one room.
--
-- A session is a NUMBER of a process (an incarnation). A user is in the room while it has sessions in it, and then
-- until its leave is shown. An incarnation is alive while its heartbeat has not expired. Only living processes can add
-- sessions, so every incarnation with sessions stands in `heartbeats` until its last session is removed.
--
-- Any of these keys may be deleted from outside: evicted, or by a clean-up script. `meta` counts the members of others, so
-- that presence_check.lua finds what was lost; it then rebuilds the room from the `sessions` of all processes.
--
-- Redis does not roll a script back where it refuses one of its commands, as it does if its user has lost a right. So
-- each change ends with what counts it, behind its event: until then the counts differ, and the check finds that too.
--
-- ARGV  1 room  2 inline_max: users that are listed at most  3 events_max: users beyond which only counts are published
--       …       those of the script below it
--       last    the key of the room's seal, empty: changes are published without one
-- Returns nothing by itself; each function is O(log n), and O(inline_max) where it publishes a change
-- KEYS  1 heartbeats zset  incarnation → when its heartbeat expires (ms of Redis TIME)
--       2 rooms      zset  room → its number of users; only rooms with users
--       3 due        zset  room → when it has to be swept (ms)
--       4 users      hash  user → COUNT|SINCE|NAME: its sessions (0: it is leaving), when it came (ms), its username
--       5 leaving    zset  user → when its leave is shown (ms)
--       6 meta       hash  v: version  counted: when the last count was published (ms)
--                          pending: a count has to be published  big: changes are published as counts
--                          s: sessions  u, l: how many members users and leaving have
--                          lost: when the check found that these do not agree (ms)
--                          unshown: the room was rebuilt, and no event has said so yet
--       7 server     hash  born: since when this server has its data (microseconds)
--       8 channel          on which changes are published (a channel, not a key)
--       9 sessions   hash  NUMBER → USER\nSINCE|NAME: the sessions of one process in the room
--       10 on        set   the rooms in which that process has sessions
local HEARTBEATS, ROOMS, DUE, USERS, LEAVING, META, SERVER, CHANNEL, SESSIONS, ON = unpack(KEYS)
local ROOM, INLINE_MAX, EVENTS_MAX, SEAL_KEY = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[#ARGV]
local COUNT_EVERY = 1000
local KEEP_SECONDS = 86400

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- The digits of a number: Lua's own conversion to text would round it or give it an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- A number of meta or server, 0 where it is missing. What is none ends the script: unreadable_remove.lua then removes it.
local function read_number(text)
  local number = tonumber(text or 0)
  if not number or number ~= number or math.abs(number) >= 2 ^ 53 then
    error('a stored number is none')
  end
  return number
end

local function stored_number(key, field)
  return read_number(redis.call('HGET', key, field))
end

-- The version of the room: contiguous while the room has users. It begins with the clock in microseconds: no room
-- changes more often than that, so a room that was emptied or lost never begins below where it ended; nor does one that
-- came back from an old dump, since then the server has a new life. Below 2^53 until 2255. `text`: what meta has.
local function read_version(text)
  local stored = read_number(text)
  if stored == 0 then
    return time[1] * 1000000 + time[2]
  end
  return math.max(stored, stored_number(SERVER, 'born'))
end

local function version()
  return read_version(redis.call('HGET', META, 'v'))
end

local function set_version(raised)
  redis.call('HSET', META, 'v', digits(raised))
  return raised
end

local function user(user_id)
  local entry = redis.call('HGET', USERS, user_id)
  if not entry then
    return nil
  end
  local count, since, name = entry:match('^(%d+)|(%d+)|(.*)$')
  if not count then
    error('a stored user is none')
  end
  return tonumber(count), since, name
end

local function set_user(user_id, count, since, name)
  if redis.call('HSET', USERS, user_id, digits(count) .. '|' .. since .. '|' .. name) == 1 then
    redis.call('HINCRBY', META, 'u', 1)
  end
end

local function begin_leave(user_id, shown_at)
  redis.call('HINCRBY', META, 'l', redis.call('ZADD', LEAVING, digits(shown_at), user_id))
end

-- Subtracted from 0: Redis 7.0 refuses the -0 that the minus of Lua makes of 0.
local function end_leave(user_id)
  redis.call('HINCRBY', META, 'l', 0 - redis.call('ZREM', LEAVING, user_id))
end

-- Who the session is, since when, and its username.
local function read_session(entry)
  local user_id, since, name = entry:match('^([^\n]*)\n(%d+)|(.*)$')
  if not user_id then
    error('a stored session is none')
  end
  return user_id, since, name
end

-- Keys of the room that no process checks any more expire after a day.
local function keep()
  for _, key in ipairs({ USERS, LEAVING, META, SESSIONS, ON }) do
    redis.call('EXPIRE', key, KEEP_SECONDS)
  end
end

local function sweep_at(ms)
  redis.call('ZADD', DUE, 'LT', digits(ms), ROOM)
end

-- The seal is a hash of a hash: to a single one of key and text more text could be appended.
local function publish(...)
  local change = cmsgpack.pack({ ROOM, ... })
  if SEAL_KEY == '' then
    redis.call('PUBLISH', CHANNEL, '\2' .. change)
  else
    local seal = redis.sha1hex(SEAL_KEY .. redis.sha1hex(SEAL_KEY .. change))
    redis.call('PUBLISH', CHANNEL, '\6' .. seal .. change)
  end
end

local function publish_count()
  local next_count = stored_number(META, 'counted') + COUNT_EVERY
  if now < next_count and next_count - now <= COUNT_EVERY then
    redis.call('HSET', META, 'pending', '1')
    sweep_at(next_count)
    return
  end
  redis.call('HSET', META, 'counted', digits(now))
  publish('count', redis.call('HLEN', USERS), set_version(version() + 1))
  redis.call('HDEL', META, 'pending')
end

-- The room as who joins it is told: {version, users, {user, COUNT|SINCE|NAME, …} or nil if there are too many}.
local function snapshot()
  local count = redis.call('HLEN', USERS)
  return { version(), count, count <= INLINE_MAX and redis.call('HGETALL', USERS) }
end

-- A user has joined or left: publish that as an event, or as a count. Returns the snapshot after an event.
local function changed(kind, user_id, name)
  local count = redis.call('HLEN', USERS)
  redis.call('ZADD', ROOMS, count, ROOM)
  if count > EVENTS_MAX then
    redis.call('HSET', META, 'big', '1')
    publish_count()
    return
  end
  local stored = redis.call('HMGET', META, 'v', 'big', 'pending')
  local raised = read_version(stored[1]) + 1
  if stored[2] or stored[3] then
    -- The room was big before: one version is left out, so that clients request a new snapshot.
    redis.call('HDEL', META, 'big', 'pending')
    raised = raised + 1
  end
  local users = count <= INLINE_MAX and redis.call('HGETALL', USERS)
  publish(kind, count, set_version(raised), user_id, name, users)
  return { raised, count, users }
end

-- A session was restated that Redis had forgotten: instead of an event for each, publish a count behind a gap in the
-- versions, so that clients request a new snapshot.
local function publish_restated()
  redis.call('ZADD', ROOMS, redis.call('HLEN', USERS), ROOM)
  redis.call('HSET', META, 'big', '1')
  set_version(version() + 1)
  publish_count()
end

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
  redis.call('HINCRBY', META, 's', digits(0 - sessions))
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
  if removed > 0 then
    redis.call('HINCRBY', META, 'u', 0 - removed)
  end
  return shown, published
end

-- Delete all keys of a room without users. Returns whether it was one. Sessions without users: the users were lost.
local function forget_if_empty()
  if redis.call('EXISTS', USERS) == 1 or stored_number(META, 's') > 0 then
    return false
  end
  redis.call('DEL', LEAVING, META)
  redis.call('ZREM', ROOMS, ROOM)
  redis.call('ZREM', DUE, ROOM)
  return true
end
