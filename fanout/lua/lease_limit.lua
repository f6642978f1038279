-- Set the limit of one owner. It stays until it is set again.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 max  2 policy  3 for how long a heartbeat holds, in ms
-- Returns  {count, surplus}: how many leases are held, and which of their sessions have to be closed because they are
--          more than the limit. A repeated call returns those that are still held.   O(n)
set_limit(ARGV[1], ARGV[2])
local too_many = surplus(tonumber(ARGV[1]), ARGV[2])
return { redis.call('ZCARD', HELD), too_many }
