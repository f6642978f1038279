-- Set the limit of one owner. It stays until it is set again.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 for how long a heartbeat holds, in ms  2 max  3 policy
-- Returns  {count, surplus}: how many leases are held, and which of their sessions have to be closed because they are
--          more than the limit. A repeated call returns those that are still held.   O(n)
return for_each_owner(2, function()
  read_owner()
  set_limit(ARGV[2], ARGV[3])
  local too_many = surplus(tonumber(ARGV[2]), ARGV[3])
  return { held, too_many }
end)[1]
