-- Give an owner a limit of its own, at once; it stays until it is given another.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 max  2 policy
-- Returns the leases that have to be closed because there are more than that. Asked again, those still there.   O(n)
redis.call('HSET', LIMIT, 'max', ARGV[1], 'policy', ARGV[2])
return surplus(tonumber(ARGV[1]), ARGV[2])
