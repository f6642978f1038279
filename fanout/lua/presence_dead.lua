-- Take the sessions of a dead process out of a room, a piece at a time.
-- KEYS  the ten of presence_common.lua
-- ARGV  1 room  2 inline_max  3 events_max  4 incarnation  5 grace of a leave in ms
--       6 for how long a process has been dead, in ms, when its heartbeat runs out
-- Returns how many of its sessions are left; 0 also where the process turns out to live.   O(1,000 log n)
local incarnation, grace, dead_before_expiry = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local AT_ONCE = 1000

local expiry = tonumber(redis.call('ZSCORE', NODES, incarnation)) or now
if expiry > now then
  return 0
end

-- Not HSCAN: in a hash that has been thinned out, its first piece may be empty.
local piece = redis.call('HRANDFIELD', SESSIONS, AT_ONCE, 'WITHVALUES')
local numbers, taken = {}, {}
for index = 1, #piece, 2 do
  local user_id = piece[index + 1]
  numbers[#numbers + 1] = piece[index]
  taken[user_id] = (taken[user_id] or 0) + 1
end
if #numbers > 0 then
  redis.call('HDEL', SESSIONS, unpack(numbers))
  take_sessions(taken, math.max(now, expiry - dead_before_expiry + grace))
end

local left = redis.call('HLEN', SESSIONS)
if left == 0 then
  redis.call('SREM', ON, ROOM)
end
forget_if_empty()
return left
