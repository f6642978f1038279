-- Who is in a room. The head of every presence_*.lua script that works on one room.
--
-- A session is a NUMBER of a process (an incarnation); a user is in the room while it has sessions in it, and after
-- that until its leave is shown. Alive is an incarnation whose heartbeat has not run out. Only the alive put sessions
-- in, so every incarnation with sessions stands in `nodes` until its last session is out: no session is forgotten.
--
-- ARGV  1 room  2 inline_max: users that are listed at the most  3 events_max: users beyond which only counts are told
--       …       those of the script below it
-- Returns nothing by itself; each function is O(log n), and O(inline_max) where it tells of a change
-- KEYS  1 nodes    zset  incarnation → when its heartbeat runs out (ms of Redis TIME)
--       2 rooms    zset  room → users in it; only rooms with someone in them
--       3 due      zset  room → when somebody has to look at it (ms)
--       4 users    hash  user → COUNT|SINCE|NAME: its sessions (0: it is leaving), when it came (ms), its username
--       5 leaving  zset  user → when its leave is shown (ms)
--       6 meta     hash  v: version  s: sessions  counted: when the last count was told (ms)
--                        pending: a count is owed  big: changes are told as counts
--       7 server   hash  born: since when this server has its data (microseconds)
--       8 channel        where changes are told (no key: PUBLISH)
--       9 sessions hash  NUMBER → user: the sessions of one process in the room
--       10 on      set   the rooms in which that process has sessions
local NODES, ROOMS, DUE, USERS, LEAVING, META, SERVER, CHANNEL, SESSIONS, ON = unpack(KEYS)
local ROOM, INLINE_MAX, EVENTS_MAX = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local COUNT_EVERY = 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Plain conversion of a number to text would round it, or give it an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

-- Contiguous while the room lives. It is born from the clock, in microseconds: no room changes more often than that,
-- so one that was emptied, or lost, never begins below where it ended; nor does one that came back from an old dump,
-- since that is another server's life. Below 2^53 until 2255.
local function version()
  local stored = redis.call('HGET', META, 'v')
  if not stored then
    return time[1] * 1000000 + time[2]
  end
  return math.max(tonumber(stored), tonumber(redis.call('HGET', SERVER, 'born') or '0'))
end

local function raise_version(by)
  local raised = version() + by
  redis.call('HSET', META, 'v', digits(raised))
  return raised
end

local function user(user_id)
  local entry = redis.call('HGET', USERS, user_id)
  if not entry then
    return nil
  end
  local count, since, name = entry:match('^(%d+)|(%d+)|(.*)$')
  return tonumber(count), since, name
end

local function set_user(user_id, count, since, name)
  redis.call('HSET', USERS, user_id, digits(count) .. '|' .. since .. '|' .. name)
end

local function look_at(ms)
  redis.call('ZADD', DUE, 'LT', digits(ms), ROOM)
end

local function publish(...)
  redis.call('PUBLISH', CHANNEL, '\2' .. cmsgpack.pack({ ROOM, ... }))
end

local function tell_count()
  local next_count = tonumber(redis.call('HGET', META, 'counted') or '0') + COUNT_EVERY
  if now < next_count and next_count - now <= COUNT_EVERY then
    redis.call('HSET', META, 'pending', '1')
    look_at(next_count)
    return
  end
  redis.call('HDEL', META, 'pending')
  redis.call('HSET', META, 'counted', digits(now))
  publish('count', redis.call('HLEN', USERS), raise_version(1))
end

-- A user came or went: tell it, by itself or as a count.
local function changed(kind, user_id, name)
  local count = redis.call('HLEN', USERS)
  redis.call('ZADD', ROOMS, count, ROOM)
  if count > EVENTS_MAX then
    redis.call('HSET', META, 'big', '1')
    tell_count()
    return
  end
  -- Back from counts: one version is left out, so that clients know that they have to ask again.
  local step = redis.call('HDEL', META, 'big', 'pending') > 0 and 2 or 1
  local users = count <= INLINE_MAX and redis.call('HGETALL', USERS)
  publish(kind, count, raise_version(step), user_id, name, users)
end

-- Nobody came, Redis had only forgotten: no storm of events, but a count with a gap before it, so that clients ask.
local function stated_again()
  redis.call('ZADD', ROOMS, redis.call('HLEN', USERS), ROOM)
  redis.call('HSET', META, 'big', '1')
  raise_version(1)
  tell_count()
end

-- Take sessions from users, so many from each. With its last one a user begins to leave.
local function take_sessions(taken, shown_at)
  local sessions, leaves = 0, false
  for user_id, lost in pairs(taken) do
    sessions = sessions + lost
    local count, since, name = user(user_id)
    if count then
      count = math.max(count - lost, 0)
      set_user(user_id, count, since, name)
      if count == 0 then
        redis.call('ZADD', LEAVING, digits(shown_at), user_id)
        leaves = true
      end
    end
  end
  redis.call('HINCRBY', META, 's', digits(-sessions))
  if leaves then
    look_at(shown_at)
  end
end

-- Show the leaves of these users, in order, until `events_max` of them were told one by one. Returns how many were
-- shown, and how many of them told.
local function show_leaves(user_ids, events_max)
  local count, shown, told = redis.call('HLEN', USERS), 0, 0
  for _, user_id in ipairs(user_ids) do
    if told == events_max then
      break
    end
    local sessions, _, name = user(user_id)
    redis.call('ZREM', LEAVING, user_id)
    if sessions == 0 then
      redis.call('HDEL', USERS, user_id)
      count, shown = count - 1, shown + 1
      if count <= EVENTS_MAX then
        changed('left', user_id, name)
        told = told + 1
      end
    end
  end
  if shown > told and count > EVENTS_MAX then
    changed()
  end
  return shown, told
end

-- Nothing is kept of a room without users. True if this is one.
local function forget_if_empty()
  if redis.call('EXISTS', USERS) == 1 then
    return false
  end
  redis.call('DEL', LEAVING, META)
  redis.call('ZREM', ROOMS, ROOM)
  redis.call('ZREM', DUE, ROOM)
  return true
end
