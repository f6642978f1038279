-- The leases that an owner holds, and its limit.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 for how long a heartbeat holds, in ms  2 max  3 policy
-- Returns {max, policy, {info, …}}, oldest first, without those of dead nodes.   O(n)
return for_each_owner(2, function()
  read_owner()
  local max, policy = limit(ARGV[2], ARGV[3])
  local infos_held = {}
  for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
    local info = may_be_alive(lease) and redis.call('HGET', INFO, lease)
    if info then
      table.insert(infos_held, info)
    end
  end
  return { max, policy, infos_held }
end)[1]
