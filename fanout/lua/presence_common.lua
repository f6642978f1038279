-- The users in a room. The head of every presence_*.lua script that works on rooms.
--
-- A session is a NUMBER of a process (an incarnation). A user is in the room while it has sessions in it, and then
-- until its leave is shown. An incarnation is alive while its heartbeat has not expired. Only living processes can add
-- sessions, so every incarnation with sessions stands in `heartbeats` until its last session is removed.
--
-- Any of these keys may be deleted from outside: evicted, or by a clean-up script. `meta` counts the members of others, so
-- that presence_check.lua finds what was lost; it then rebuilds the room from the `sessions` of all processes.
--
-- Redis does not roll a script back where it refuses one of its commands, as it does if its user has lost a right. So
-- each change ends with what counts it, behind its event (`write_meta`): until then the counts differ, and the check
-- finds that too.
--
-- A call works on one room after another (`for_each_room`). An error of one ends that one alone.
--
-- ARGV  1 inline_max: users that are listed at most  2 events_max: users beyond which only counts are published
--       …       those of the script below it
--       then of each room: its name, the key of its seal (empty: changes are published without one), and those of the
--       script below it
-- Returns nothing by itself; each function is O(log n), and O(inline_max) where it publishes a change
-- KEYS of each room, ten and those of the script below it:
--       1 heartbeats zset  incarnation → when its heartbeat expires (ms of Redis TIME)
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
--                          life, archive: see server_common.lua
--       8 channel          on which changes are published (a channel, not a key)
--       9 sessions   hash  NUMBER → USER\nSINCE|NAME: the sessions of one process in the room
--       10 on        set   the rooms in which that process has sessions
local INLINE_MAX, EVENTS_MAX = tonumber(ARGV[1]), tonumber(ARGV[2])
local HEARTBEATS, ROOMS, DUE, USERS, LEAVING, META, SERVER, CHANNEL, SESSIONS, ON, ROOM, SEAL_KEY
local COUNT_EVERY = 1000
local KEEP_SECONDS = 86400

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What was read of `meta`, and what has to be written there; life and birth of each `server` that was read.
local meta, unwritten
local servers = {}

-- Work on the room whose keys and words stand behind these positions of KEYS and ARGV.
local function use_room(key_at, word_at)
  HEARTBEATS, ROOMS, DUE, USERS, LEAVING, META, SERVER, CHANNEL, SESSIONS, ON = unpack(KEYS, key_at + 1, key_at + 10)
  ROOM, SEAL_KEY = ARGV[word_at + 1], ARGV[word_at + 2]
  meta, unwritten = nil, {}
end

-- The digits of a number: Lua's own conversion to text would round it or give it an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- A number of meta or server, 0 where it is missing. What is none ends the work on the room: unreadable_remove.lua then
-- removes it.
local function read_number(text)
  local number = tonumber(text or 0)
  if not number or number ~= number or math.abs(number) >= 2 ^ 53 then
    error('a stored number is none')
  end
  return number
end

local function has_meta(field)
  if not meta then
    local found = redis.call('HMGET', META, 'v', 'counted', 'pending', 'big', 's', 'u', 'l')
    meta = {
      v = found[1], counted = found[2], pending = found[3], big = found[4], s = found[5], u = found[6], l = found[7],
    }
  end
  return meta[field]
end

local function read_meta(field)
  return read_number(has_meta(field))
end

-- For `write_meta`.
local function set_meta(field, number)
  has_meta(field)
  local text = digits(number)
  meta[field], unwritten[field] = text, text
end

local function count_meta(field, added)
  if added ~= 0 then
    set_meta(field, read_meta(field) + added)
  end
end

local function remove_meta(...)
  redis.call('HDEL', META, ...)
  for _, field in ipairs({ ... }) do
    meta[field], unwritten[field] = false, nil
  end
end

-- The last step of each change.
local function write_meta()
  local words = {}
  for field, text in pairs(unwritten) do
    words[#words + 1], words[#words + 2] = field, text
  end
  if #words > 0 then
    redis.call('HSET', META, unpack(words))
  end
  unwritten = {}
end

-- Run a function for each room (batch_common.lua), and write what it has counted.
local function for_each_room(keys, words, shared, run)
  return for_each_call(keys, words, shared, function(key_at, word_at)
    use_room(key_at, word_at)
    local result = run(key_at, word_at)
    write_meta()
    return result
  end)
end

local function read_server()
  if not servers[SERVER] then
    servers[SERVER] = redis.call('HMGET', SERVER, 'life', 'born', 'archive')
  end
  return servers[SERVER]
end

-- The version of the room: contiguous while the room has users. It begins with the clock in microseconds: no room
-- changes more often than that, so a room that was emptied or lost never begins below where it ended; nor does one that
-- came back from an old dump, since then the server has a new life. Below 2^53 until 2255.
local function version()
  local stored = read_meta('v')
  if stored == 0 then
    return time[1] * 1000000 + time[2]
  end
  return math.max(stored, read_number(read_server()[2]))
end

-- How many sessions a user has, since when it is there, and its username; nothing if it is not in the room.
local function read_user(entry)
  if not entry then
    return nil
  end
  local count, since, name = entry:match('^(%d+)|(%d+)|(.*)$')
  if not count then
    error('a stored user is none')
  end
  return tonumber(count), since, name
end

local function set_user(user_id, entry)
  count_meta('u', redis.call('HSET', USERS, user_id, entry))
end

-- The users and their entries, one behind the other, or false if there are more than inline_max; and how many there are.
-- What `meta` says is a hint: with one more than inline_max, a call that would list very many is short all the same.
local function list_users()
  if read_meta('u') <= INLINE_MAX then
    local users = redis.call('HRANDFIELD', USERS, INLINE_MAX + 1, 'WITHVALUES')
    if #users <= 2 * INLINE_MAX then
      return users, #users / 2
    end
  end
  local count = redis.call('HLEN', USERS)
  return count <= INLINE_MAX and redis.call('HGETALL', USERS), count
end

local function begin_leave(user_id, shown_at)
  count_meta('l', redis.call('ZADD', LEAVING, digits(shown_at), user_id))
end

local function end_leave(user_id)
  count_meta('l', -redis.call('ZREM', LEAVING, user_id))
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
  local next_count = read_meta('counted') + COUNT_EVERY
  if now < next_count and next_count - now <= COUNT_EVERY then
    set_meta('pending', 1)
    sweep_at(next_count)
    return
  end
  local raised = version() + 1
  publish('count', redis.call('HLEN', USERS), raised)
  set_meta('counted', now)
  set_meta('v', raised)
  write_meta()
  if has_meta('pending') then
    remove_meta('pending')
  end
end

-- A user has joined or left: publish that as an event or, in a room with more than events_max users, as a count.
-- `users`: those of the room now, or false if there are more than inline_max; `count`: how many there are.
local function publish_change(kind, user_id, name, users, count)
  if count > EVENTS_MAX then
    set_meta('big', 1)
    publish_count()
    return
  end
  local raised = version() + 1
  if has_meta('big') or has_meta('pending') then
    -- The room was big before: one version is left out, so that clients request a new snapshot.
    remove_meta('big', 'pending')
    raised = raised + 1
  end
  publish(kind, count, raised, user_id, name, users)
  set_meta('v', raised)
end

-- A session was restated that Redis had forgotten: instead of an event for each, publish a count behind a gap in the
-- versions, so that clients request a new snapshot.
local function publish_restated()
  redis.call('ZADD', ROOMS, redis.call('HLEN', USERS), ROOM)
  set_meta('big', 1)
  set_meta('v', version() + 1)
  publish_count()
end
