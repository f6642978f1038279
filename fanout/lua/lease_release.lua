-- Release leases once their sockets are closed, or stop waiting for them.
-- KEYS of each: the eight of lease_common.lua
-- ARGV  1 for how long a heartbeat holds, in ms
--       of each: 1 lease  2 the generation under which it was held ('': any; only its holder releases a lease)
-- Returns of each the lease that was granted in its place, or ''; an error is of this one alone.   O(log n) each
local WORDS_OF_EACH = 2

return for_each_owner(WORDS_OF_EACH, function(at)
  local lease, generation = ARGV[at + 1], ARGV[at + 2]
  read_owner('n|' .. lease, 'v|' .. lease, 's|' .. session_of(lease))

  local granted_as = is_held(lease)
  if granted_as and generation ~= '' and digits(granted_as) ~= generation then
    return ''
  end
  if not granted_as then
    cancel_wait(lease)
  end
  -- Also of a lease that is not held: an acquire or a release of it that Redis refused half-way may have left some of it.
  local newcomer = free_lease(lease)
  tidy_up()
  return newcomer
end)
