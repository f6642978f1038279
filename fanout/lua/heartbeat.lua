-- A node says that it lives, and learns what has become of its partition.
-- KEYS  1 nodes  2 server   ARGV  1 incarnation  2 milliseconds that the heartbeat holds
-- Returns  {before, alive, life}: 'alive', 'expired' or 'unknown', what the node was taken for until now; how many nodes
--          live now; which server, with which data, this is ('': it has lost its data).   O(log nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
local before = not expiry and 'unknown' or tonumber(expiry) > now and 'alive' or 'expired'
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
return { before, redis.call('ZCOUNT', KEYS[1], now, '+inf'), redis.call('HGET', KEYS[2], 'life') or '' }
