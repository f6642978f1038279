-- Remove sessions of a dead process from a room, 1,000 at a time.
-- KEYS  the ten of presence_common.lua
-- ARGV  1 inline_max  2 events_max  3 room  4 key of the seal  5 incarnation  6 grace period of a leave in ms
--       7 for how long a process has been dead, in ms, when its heartbeat expires
-- Returns how many of its sessions are left; 0 also if the process is alive.   O(1,000 log n)
local incarnation, grace, dead_before_expiry = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local AT_ONCE = 1000

use_room(0, 2)

local expiry = tonumber(redis.call('ZSCORE', HEARTBEATS, incarnation)) or now
if expiry > now then
  return 0
end

-- Not HSCAN: in a hash from which many fields were deleted, its first page may be empty.
local piece = redis.call('HRANDFIELD', SESSIONS, AT_ONCE, 'WITHVALUES')
local numbers, taken = {}, {}
for index = 1, #piece, 2 do
  local user_id = read_session(piece[index + 1])
  numbers[#numbers + 1] = piece[index]
  taken[user_id] = (taken[user_id] or 0) + 1
end
if #numbers > 0 then
  redis.call('HDEL', SESSIONS, unpack(numbers))
  remove_sessions(taken, math.max(now, expiry - dead_before_expiry + grace))
  write_meta()
end

local left = redis.call('HLEN', SESSIONS)
if left == 0 then
  redis.call('SREM', ON, ROOM)
end
forget_if_empty()
return left
