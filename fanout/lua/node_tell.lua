-- Store a node's description of itself.
-- KEYS  1 node-info   ARGV  1 incarnation  2 info (JSON)
-- Returns a number without meaning.   O(1)
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
