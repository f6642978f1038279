-- Check a room whose keys may have been deleted from outside, and rebuild it if what is left does not agree. And compare
-- its version with what members have seen.
-- KEYS  the ten of presence_common.lua, then `sessions` and `on` of each process in heartbeats
-- ARGV  1 inline_max  2 events_max  3 room  4 key of the seal  5 grace period of a leave in ms
--       6 for how long a heartbeat holds, in ms
--       7 the latest version that members at the calling process have seen, 0: none
--       8 the version that its check before this one found, and that they should have seen by now; 0: none
-- Returns {1 if the room is as its sessions say, 0 if it has to be checked again soon; its version, 0: it has no users}
-- O(processes), and O(sessions + users) where it is rebuilt
--
-- The processes may still have to state sessions that were lost. So the first check that finds a loss raises `losses`,
-- which every heartbeat returns, and all of them do; the room is rebuilt one lease later.
local grace, lease_ms = tonumber(ARGV[5]), tonumber(ARGV[6])
local seen, due = tonumber(ARGV[7]), tonumber(ARGV[8])
local FIRST_PROCESS = 11
local AT_ONCE = 2000 -- words of one command, an even number
-- No version is further ahead of the clock: one that is was not published by these scripts.
local AHEAD_MAX = 86400 * 1000000
-- A room does not change more often while two servers are written to.
local COUNTS_MAX = 1000000

use_room(0, 2)

-- Without all heartbeats it is not known which sessions there are.
local since = redis.call('ZSCORE', HEARTBEATS, '.since')
local processes = (#KEYS - FIRST_PROCESS + 1) / 2
if not since or math.abs(now + since) < lease_ms or redis.call('ZCARD', HEARTBEATS) ~= processes + 1 then
  return { 0, 0 }
end

local function schedule()
  local count = redis.call('HLEN', USERS)
  if count > 0 then
    redis.call('ZADD', ROOMS, count, ROOM)
  end
  local next_leave = redis.call('ZRANGE', LEAVING, 0, 0, 'WITHSCORES')[2]
  if next_leave then
    sweep_at(tonumber(next_leave))
  end
  if has_meta('pending') then
    sweep_at(read_meta('counted') + COUNT_EVERY)
  end
end

local function is_whole()
  local sessions = 0
  for at = FIRST_PROCESS, #KEYS, 2 do
    sessions = sessions + redis.call('HLEN', KEYS[at])
  end
  local counted = redis.call('HMGET', META, 's', 'u', 'l', 'unshown')
  return not counted[4]
    and tonumber(counted[1] or 0) == sessions
    and tonumber(counted[2] or 0) == redis.call('HLEN', USERS)
    and tonumber(counted[3] or 0) == redis.call('ZCARD', LEAVING)
end

-- The users of all sessions: user → {sessions, since, name}.
local function users_of_sessions()
  local found, sessions = {}, 0
  for at = FIRST_PROCESS, #KEYS, 2 do
    for _, entry in ipairs(redis.call('HVALS', KEYS[at])) do
      local user_id, came, name = read_session(entry)
      local one = found[user_id]
      if not one then
        found[user_id] = { 1, came, name }
      else
        one[1] = one[1] + 1
        if tonumber(came) < tonumber(one[2]) then
          one[2], one[3] = came, name
        end
      end
      sessions = sessions + 1
    end
  end
  return found, sessions
end

-- Users that are known keep since when they are here and their name; those without sessions begin to leave. A room may
-- be large, so only what differs is written, in few commands.
local function rebuild()
  local present, sessions = users_of_sessions()
  local users, leaves, known = {}, {}, redis.call('HGETALL', USERS)
  local is_leaving = {}
  for _, user_id in ipairs(redis.call('ZRANGE', LEAVING, 0, -1)) do
    is_leaving[user_id] = true
  end

  local function write(user_id, entry)
    users[#users + 1], users[#users + 2] = user_id, entry
  end

  for at = 1, #known, 2 do
    local user_id, one = known[at], present[known[at]]
    local since_and_name = known[at + 1]:match('|%d+|.*$') or error('a stored user is none')
    local entry = digits(one and one[1] or 0) .. since_and_name
    if entry ~= known[at + 1] then
      write(user_id, entry)
    end
    if not one and not is_leaving[user_id] then
      leaves[#leaves + 1], leaves[#leaves + 2] = digits(now + grace), user_id
    end
    if one then
      present[user_id] = nil
    else
      is_leaving[user_id] = nil
    end
  end
  for user_id, one in pairs(present) do
    write(user_id, digits(one[1]) .. '|' .. one[2] .. '|' .. one[3])
  end
  for user_id in pairs(is_leaving) do -- it has sessions, or is not known any more
    redis.call('ZREM', LEAVING, user_id)
  end
  for at = 1, #users, AT_ONCE do
    redis.call('HSET', USERS, unpack(users, at, math.min(at + AT_ONCE - 1, #users)))
  end
  for at = 1, #leaves, AT_ONCE do
    redis.call('ZADD', LEAVING, unpack(leaves, at, math.min(at + AT_ONCE - 1, #leaves)))
  end
  local counts = { 's', sessions, 'u', redis.call('HLEN', USERS), 'l', redis.call('ZCARD', LEAVING) }
  redis.call('HSET', META, 'unshown', '1', unpack(counts))
end

-- Members that have seen a later version than the room's were in it on another server, whose data this one does not
-- have: they would hear nothing before it. Members that have not seen what they should have missed an event. Both are
-- told a count behind a gap.
--
-- The former server may still be written to. So the version goes on where the count over there does not come to: one that
-- it reaches too would seem to follow what members know from there.
local function compare_version()
  local stored, clock = version(), time[1] * 1000000 + time[2]
  if seen > stored and seen < clock + AHEAD_MAX then
    set_meta('v', math.max(seen + COUNTS_MAX, clock))
    publish_restated()
  elseif seen > 0 and seen < due then
    publish_restated()
  end
  return version()
end

local was_whole = is_whole()
local lost = redis.call('HGET', META, 'lost')
lost = lost and read_number(lost)
if was_whole then
  redis.call('HDEL', META, 'lost')
elseif not lost or math.abs(now - lost) < lease_ms then
  if not lost then
    redis.call('HINCRBY', SERVER, 'losses', 1)
    redis.call('HSET', META, 'lost', digits(now))
  end
  return { 0, 0 }
else
  rebuild()
  publish_restated()
  write_meta()
  redis.call('HDEL', META, 'unshown', 'lost')
end

-- A process compares its sessions in the rooms that are noted in its `on`, and in those that it knows of. So a room is
-- noted for each process: the note may be lost of one that has left, and whose last leave was lost too.
for at = FIRST_PROCESS, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[at]) == 1 and redis.call('SADD', KEYS[at + 1], ROOM) == 1 then
    redis.call('EXPIRE', KEYS[at + 1], KEEP_SECONDS)
  end
end
if redis.call('EXISTS', SESSIONS) == 0 then
  redis.call('SREM', ON, ROOM)
end
if forget_if_empty() then
  return { 1, 0 }
end
local found = compare_version()
write_meta()
keep()
schedule()
return { 1, found }
