-- Release a lease once its socket is closed, or stop waiting for one.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 lease  2 the generation under which it was held ('': any; only its holder releases a lease)
--       3 for how long a heartbeat holds, in ms
-- Returns the lease that was granted in its place, or ''.   O(log n)
local lease, generation = ARGV[1], ARGV[2]

local held = redis.call('ZSCORE', HELD, lease)
if held then
  if generation ~= '' and string.format('%.0f', held) ~= generation then
    return ''
  end
  local granted = free_lease(lease)
  tidy_up()
  return granted
end
if redis.call('HEXISTS', STATE, 'n|' .. lease) == 1 then
  forget(lease)
  cancel_wait(lease)
  tidy_up()
end
return ''
