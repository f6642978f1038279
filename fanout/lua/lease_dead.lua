-- Free the leases that a dead process holds, or waits for, of one owner. Two processes may run it at once.
-- KEYS  the eight of lease_common.lua; owners: of the dead process
-- ARGV  1 for how long a heartbeat holds, in ms  2 incarnation of the dead process  3 owner, as it stands in owners
-- Returns how many leases were freed; 0 also if the process is alive. A newcomer that is granted one asks again by
--         itself.   O(n)
local incarnation, owner = ARGV[2], ARGV[3]

return for_each_owner(2, function()
  read_owner()
  if may_be_alive(incarnation) then
    return 0
  end
  local freed = 0
  for _, lease in ipairs(redis.call('HKEYS', INFO)) do
    if lease:match('^[^|]*') == incarnation then
      cancel_wait(lease)
      free_lease(lease)
      freed = freed + 1
    end
  end
  for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
    if lease:match('^[^|]*') == incarnation then -- without a description, since Redis has refused that
      free_lease(lease)
      freed = freed + 1
    end
  end
  redis.call('SREM', OWNERS, owner)
  tidy_up()
  return freed
end)[1]
