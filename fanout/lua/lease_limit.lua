-- Give an owner a limit of its own, at once; it stays until it is given another.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 max  2 policy
-- Returns  {count, surplus}: how many there are, and which of them have to be closed because there are more than that.
--          Asked again, those still there.   O(n)
redis.call('HSET', LIMIT, 'max', ARGV[1], 'policy', ARGV[2])
local too_many = surplus(tonumber(ARGV[1]), ARGV[2])
return { redis.call('ZCARD', HELD), too_many }
