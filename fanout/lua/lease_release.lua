-- Give a place back once its socket is closed, or stop waiting for one.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 lease  2 generation it was held under ('': whatever it is; a lease is only ever released by who holds it)
-- Returns the lease that has got the place, or ''.   O(log n)
local lease, generation = ARGV[1], ARGV[2]

local held = redis.call('ZSCORE', HELD, lease)
if held then
  if generation ~= '' and string.format('%.0f', held) ~= generation then
    return ''
  end
  local granted = vacate(lease)
  tidy_up()
  return granted
end
if redis.call('HEXISTS', STATE, 'n|' .. lease) == 1 then
  forget(lease)
  cancel_ticket(lease)
  tidy_up()
end
return ''
