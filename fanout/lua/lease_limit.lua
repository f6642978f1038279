-- Set the limit of one owner. It stays until it is set again.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 max  2 policy
-- Returns  {count, surplus}: how many leases are held, and which of their sessions have to be closed because they are
--          more than the limit. A repeated call returns those that are still held.   O(n)
redis.call('HSET', LIMIT, 'max', ARGV[1], 'policy', ARGV[2])
local too_many = surplus(tonumber(ARGV[1]), ARGV[2])
return { redis.call('ZCARD', HELD), too_many }
