-- Forget a dead process that has neither sessions in the partition's rooms nor leases of its owners any more.
-- KEYS  1 heartbeats  2 on: the rooms in which it has sessions  3 owners: those of whom it has leases
-- ARGV  1 incarnation
-- Returns 1 if it is forgotten, 0 if it is alive, has left something, or was forgotten before.   O(log nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not expiry or tonumber(expiry) > now or redis.call('EXISTS', KEYS[2], KEYS[3]) > 0 then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
