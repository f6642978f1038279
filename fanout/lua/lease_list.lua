-- The leases that an owner holds, and its limit.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 max  2 policy  3 for how long a heartbeat holds, in ms
-- Returns {max, policy, {info, …}}, oldest first, without those of dead nodes.   O(n)
local max, policy = limit(ARGV[1], ARGV[2])
local infos = {}
for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
  local info = may_be_alive(lease) and redis.call('HGET', INFO, lease)
  if info then
    table.insert(infos, info)
  end
end
return { max, policy, infos }
