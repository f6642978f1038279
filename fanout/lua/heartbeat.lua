-- A node says that it lives.
-- KEYS  1 nodes  ARGV  1 incarnation  2 milliseconds that the heartbeat holds
-- Returns nothing of interest.   O(log nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 3600000)
return 1
