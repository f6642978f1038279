-- Execute each command once that the scripts of leases and presence call, so that Redis refuses this one where its user
-- has not the right to all of them. A script that it refuses half-way has changed something already.
-- KEYS  1 a key that nothing else uses, and that is deleted
-- ARGV  none
-- Returns 1.   O(1)
local KEY = KEYS[1]
redis.call('TIME')
-- It may hold what a refused probe has left. SET, since behind a DEL Redis refuses nothing for want of memory.
redis.call('SET', KEY, '', 'EX', 60)
redis.call('GET', KEY)
redis.call('DEL', KEY)

redis.call('HSET', KEY, 'a', '1')
redis.call('EXPIRE', KEY, 60)
redis.call('HSETNX', KEY, 'b', '1')
redis.call('HINCRBY', KEY, 'a', 1)
redis.call('EXISTS', KEY)
redis.call('HEXISTS', KEY, 'a')
redis.call('HGET', KEY, 'a')
redis.call('HGETALL', KEY)
redis.call('HKEYS', KEY)
redis.call('HLEN', KEY)
redis.call('HMGET', KEY, 'a')
redis.call('HRANDFIELD', KEY, 1)
redis.call('HVALS', KEY)
redis.call('HDEL', KEY, 'a', 'b')

redis.call('SADD', KEY, 'a')
redis.call('SREM', KEY, 'a')

redis.call('ZADD', KEY, 1, 'a')
redis.call('ZCARD', KEY)
redis.call('ZRANGE', KEY, 0, 0)
redis.call('ZRANGEBYSCORE', KEY, 0, 1)
redis.call('ZREVRANGE', KEY, 0, 0)
redis.call('ZSCORE', KEY, 'a')
redis.call('ZREM', KEY, 'a')
return 1
