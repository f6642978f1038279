-- Acquire a lease, or wait for one. Idempotent: a repeated call returns the present state.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 lease  2 info (JSON)  3 max (0: no limit)  4 policy: reject or evict_oldest  5 owner, as it stands in owners
--       6 '1': an earlier call has returned 'wait'  7 for how long a heartbeat holds, in ms: also the longest that a
--       server makes new leases wait
-- Returns  {'fenced'}                 the heartbeat of the calling node has expired: it may hold no lease
--          {'recovering', ms}         the server may have forgotten leases, of this owner or of all: call again after that
--                                     time (-1: the server has not been identified yet)
--          {'held', generation}
--          {'full', count, max}
--          {'displaced', by}          another lease waits in its stead; by: the newest lease of the same session, or ''
--          {'wait', victim, displaced, count, max}
--                                     the session of the victim has to be closed, and so has that of `displaced`, a
--                                     waiting lease whose victim this one has taken over ('' if there is none)
-- O(log n), and O(n) only when full
local lease, info, owner = ARGV[1], ARGV[2], ARGV[5]

if not alive(lease) then
  return { 'fenced' }
end

local generation = redis.call('ZSCORE', HELD, lease)
if generation then
  return { 'held', string.format('%.0f', generation) }
end

local wait_ms = recovering_for()
if not wait_ms then
  return { 'recovering', -1 }
end
wait_ms = math.max(wait_ms, lost_for())
if wait_ms > 0 then
  return { 'recovering', wait_ms }
end

local max, policy = limit(ARGV[3], ARGV[4])

local function wait(victim, displaced)
  return { 'wait', victim, displaced, redis.call('ZCARD', HELD), max }
end

local waits_for = redis.call('HGET', STATE, 'n|' .. lease)
if waits_for then
  if redis.call('ZSCORE', HELD, waits_for) and may_be_alive(waits_for) then
    return wait(waits_for, '')
  end
  free_lease(waits_for)
  return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
end

local name = 's|' .. session_of(lease)
local namesake = redis.call('HGET', STATE, name)
if ARGV[6] == '1' then
  return { 'displaced', namesake or '' }
end

local function wait_for(victim, displaced)
  redis.call('HSET', STATE, 'n|' .. lease, victim, 'v|' .. victim, lease, 'g|' .. lease, next_generation(), name, lease)
  describe(lease, info)
  note_owner(owner)
  if not may_be_alive(victim) then
    free_lease(victim)
    return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
  end
  return wait(victim, displaced)
end

local function displace(newcomer)
  local victim = cancel_wait(newcomer)
  forget(newcomer)
  return wait_for(victim, newcomer)
end

local function oldest_without_newcomer()
  for at = 0, redis.call('ZCARD', HELD) - 1 do
    local holder = redis.call('ZRANGE', HELD, at, at)[1]
    if not newcomer_for(holder) then
      return holder
    end
  end
end

-- A session that connects again replaces its own lease, and never counts twice.
if namesake then
  if redis.call('ZSCORE', HELD, namesake) then
    local other = newcomer_for(namesake)
    if not other then
      return wait_for(namesake, '')
    end
    -- It is being closed already, for another newcomer: that one waits for the next oldest lease from now on.
    local spare = oldest_without_newcomer()
    if not spare then
      return displace(other)
    end
    redis.call('HSET', STATE, 'n|' .. other, spare, 'v|' .. spare, other)
    return wait_for(namesake, '')
  end
  if redis.call('HEXISTS', STATE, 'n|' .. namesake) == 1 then
    return displace(namesake)
  end
end

if max > 0 and redis.call('ZCARD', HELD) >= max then
  free_dead_leases()
end
local count = redis.call('ZCARD', HELD)
if max == 0 or count < max then
  describe(lease, info)
  redis.call('HSET', STATE, name, lease)
  note_owner(owner)
  local new = next_generation()
  hold(lease, new)
  return { 'held', new }
end
if policy == 'reject' then
  return { 'full', count, max }
end
-- If all held leases are being closed, the newcomer that has waited longest is the oldest session: it is displaced.
local oldest = oldest_without_newcomer()
if oldest then
  return wait_for(oldest, '')
end
local longest, since
for at = 0, count - 1 do
  local newcomer = redis.call('HGET', STATE, 'v|' .. redis.call('ZRANGE', HELD, at, at)[1])
  local came = tonumber(redis.call('HGET', STATE, 'g|' .. newcomer))
  if not since or came < since then
    longest, since = newcomer, came
  end
end
return displace(longest)
