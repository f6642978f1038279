-- Forget a dead process that has no sessions in the partition's rooms any more.
-- KEYS  1 heartbeats  2 on: the rooms in which it has sessions
-- ARGV  1 incarnation
-- Returns 1 if it is forgotten, 0 if it is alive, has sessions, or was forgotten before.   O(log nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expiry or tonumber(expiry) > now or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
