-- What a node tells about itself.
-- KEYS  1 node-info   ARGV  1 incarnation  2 info (JSON)
-- Returns nothing of interest.   O(1)
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
