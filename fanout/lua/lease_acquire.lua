-- Acquire leases, or wait for them. Idempotent: a repeated call returns the present state.
-- KEYS of each: the eight of lease_common.lua
-- ARGV  1 for how long a heartbeat holds, in ms: also the longest that a server makes new leases wait
--       of each: 1 lease  2 info (JSON)  3 max (0: no limit)  4 policy: reject or evict_oldest
--       5 owner, as it stands in owners  6 '1': an earlier call has returned 'wait'
-- Returns of each
--          {'fenced'}                 the heartbeat of the calling node has expired: it may hold no lease
--          {'recovering', ms}         the server may have forgotten leases, of this owner or of all: call again after that
--                                     time (-1: the server has not been identified yet)
--          {'held', generation}
--          {'full', count, max}
--          {'displaced', by}          another lease waits in its stead; by: the newest lease of the same session, or ''
--          {'wait', victim, displaced, count, max}
--                                     the session of the victim has to be closed, and so has that of `displaced`, a
--                                     waiting lease whose victim this one has taken over ('' if there is none)
--          an error                   of this one alone
-- O(log n), and O(n) only when full, each
local WORDS_OF_EACH = 6
local lease, info, max, policy, owner

local function grant()
  return { 'held', digits(redis.call('ZSCORE', HELD, lease)) }
end

local function wait(victim, displaced)
  return { 'wait', victim, displaced, held, max }
end

local function wait_for(victim, displaced)
  local name, new = 's|' .. session_of(lease), next_generation()
  set_state('n|' .. lease, victim, 'v|' .. victim, lease, 'g|' .. lease, new, name, lease, '.g', new)
  describe(lease, info)
  note_owner(owner)
  if not may_be_alive(victim) then
    free_lease(victim)
    return grant()
  end
  return wait(victim, displaced)
end

local function displace(newcomer)
  local victim = cancel_wait(newcomer)
  forget(newcomer)
  return wait_for(victim, newcomer)
end

local function oldest_without_newcomer()
  for at = 0, held - 1 do
    local holder = redis.call('ZRANGE', HELD, at, at)[1]
    if not newcomer_for(holder) then
      return holder
    end
  end
end

-- A session that connects again replaces its own lease, and never counts twice. Nothing: it has none any more.
local function replace(namesake)
  if is_held(namesake) then
    local other = newcomer_for(namesake)
    if not other then
      return wait_for(namesake, '')
    end
    -- It is being closed already, for another newcomer: that one waits for the next oldest lease from now on.
    local spare = oldest_without_newcomer()
    if not spare then
      return displace(other)
    end
    set_state('n|' .. other, spare, 'v|' .. spare, other)
    return wait_for(namesake, '')
  end
  if read_state('n|' .. namesake) then
    return displace(namesake)
  end
end

-- If all held leases are being closed, the newcomer that has waited longest is the oldest session: it is displaced.
local function evict()
  local oldest = oldest_without_newcomer()
  if oldest then
    return wait_for(oldest, '')
  end
  local longest, since
  for at = 0, held - 1 do
    local newcomer = read_state('v|' .. redis.call('ZRANGE', HELD, at, at)[1])
    local came = tonumber(read_state('g|' .. newcomer))
    if not since or came < since then
      longest, since = newcomer, came
    end
  end
  return displace(longest)
end

-- What has been decided of the lease already. Nothing: it is a new one.
local function find_earlier(has_waited)
  local waits_for = read_state('n|' .. lease)
  if waits_for then
    if is_held(waits_for) and may_be_alive(waits_for) then
      return wait(waits_for, '')
    end
    free_lease(waits_for)
    return grant()
  end
  local namesake = read_state('s|' .. session_of(lease))
  if has_waited then
    return { 'displaced', namesake or '' }
  end
  if namesake then
    return replace(namesake)
  end
end

local function acquire(at)
  if not alive(lease) then
    return { 'fenced' }
  end
  local generation = is_held(lease)
  if generation then
    return { 'held', digits(generation) }
  end
  local wait_ms = recovering_for()
  if not wait_ms then
    return { 'recovering', -1 }
  end
  wait_ms = math.max(wait_ms, lost_for())
  if wait_ms > 0 then
    return { 'recovering', wait_ms }
  end

  max, policy = limit(ARGV[at + 3], ARGV[at + 4])
  local earlier = find_earlier(ARGV[at + 6] == '1')
  if earlier then
    return earlier
  end
  if max > 0 and held >= max then
    free_dead_leases()
  end
  if max == 0 or held < max then
    local new = next_generation()
    describe(lease, info)
    set_state('s|' .. session_of(lease), lease, '.g', new)
    note_owner(owner)
    hold(lease, new)
    return { 'held', new }
  end
  if policy == 'reject' then
    return { 'full', held, max }
  end
  return evict()
end

return for_each_owner(WORDS_OF_EACH, function(at)
  lease, info, owner = ARGV[at + 1], ARGV[at + 2], ARGV[at + 5]
  read_owner('.g', 'n|' .. lease, 's|' .. session_of(lease))
  return acquire(at)
end)
