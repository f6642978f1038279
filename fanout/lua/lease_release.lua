-- Release a lease once its socket is closed, or stop waiting for one.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 lease  2 the generation under which it was held ('': any; only its holder releases a lease)
--       3 for how long a heartbeat holds, in ms
-- Returns the lease that was granted in its place, or ''.   O(log n)
local lease, generation = ARGV[1], ARGV[2]

local held = redis.call('ZSCORE', HELD, lease)
if held and generation ~= '' and string.format('%.0f', held) ~= generation then
  return ''
end
if not held then
  cancel_wait(lease)
end
-- Also of a lease that is not held: an acquire or a release of it that Redis refused half-way may have left some of it.
local granted = free_lease(lease)
tidy_up()
return granted
