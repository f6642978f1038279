-- A process states which places of an owner it holds: what Redis has too many of goes, what it lacks is told or added.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 incarnation  2 owner, as it stands in mine  3 max  4 policy  5 '1': add what is missing
--       6… lease, generation ('': it is being asked for right now, leave it alone), info; any number of them
-- Returns  {missing, granted, surplus}: leases that are not there (and were not added); waiting ones that have got a
--          place by this; those that have to be closed because there are more than the limit.   O(n)
local incarnation, owner, adding = ARGV[1], ARGV[2], ARGV[5] == '1'
local max, policy = limit(ARGV[3], ARGV[4])

local stated, missing, granted = {}, {}, {}
for at = 6, #ARGV, 3 do
  local lease, generation, info = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  stated[lease] = true
  if generation ~= '' and not redis.call('ZSCORE', HELD, lease) then
    if adding then
      redis.call('HSET', INFO, lease, info)
      redis.call('HSET', STATE, 's|' .. session_of(lease), lease)
      redis.call('SADD', MINE, owner)
      redis.call('ZADD', HELD, generation, lease)
    else
      table.insert(missing, lease)
    end
  end
end

for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
  if lease:match('^[^|]*') == incarnation and not stated[lease] then
    local newcomer = vacate(lease)
    if newcomer ~= '' then
      table.insert(granted, newcomer)
    end
  end
end

if next(stated) == nil then
  redis.call('SREM', MINE, owner)
else
  keep()
end
return { missing, granted, surplus(max, policy) }
