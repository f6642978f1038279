-- Record the heartbeat of a node.
-- KEYS  1 heartbeats  2 server   ARGV  1 incarnation  2 milliseconds for which the heartbeat holds
-- Returns  {before, alive, life}: 'alive', 'expired' or 'unknown', the state of the node until now; how many nodes are
--          alive now; the life of the server (''  if it has lost its data).   O(log nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
local before = not expiry and 'unknown' or tonumber(expiry) > now and 'alive' or 'expired'
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return { before, redis.call('ZCOUNT', KEYS[1], now, '+inf'), redis.call('HGET', KEYS[2], 'life') or '' }
