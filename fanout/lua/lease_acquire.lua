-- Take a place, or wait for one, or be told that there is none. Idempotent: asked again, it tells how things stand.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 lease  2 info (JSON)  3 max (0: no limit)  4 policy: reject or evict_oldest  5 owner, as it stands in mine
--       6 '1': it was told to wait before  7 milliseconds: the longest that a server makes new leases wait
-- Returns  {'fenced'}                 the asking node's heartbeat has run out: it may hold nothing
--          {'recovering', ms}         the server may have forgotten leases: ask again then (-1: it is not known at all)
--          {'held', generation}
--          {'full', count, max}
--          {'displaced', by}          it was told to wait, and its turn has been taken over since; by: the newest lease
--                                     of the same session, or ''
--          {'wait', victim, displaced, count, max}
--                                     the victim has to be closed, and so has `displaced`, a newcomer whose turn to
--                                     wait is taken over ('' if none)
-- O(log n), and O(n) only when full
local lease, info, owner = ARGV[1], ARGV[2], ARGV[5]
local longest_wait_ms = tonumber(ARGV[7])

if not alive(lease) then
  return { 'fenced' }
end

local generation = redis.call('ZSCORE', HELD, lease)
if generation then
  return { 'held', string.format('%.0f', generation) }
end

local waits_until = redis.call('HGET', SERVER, 'until')
if not waits_until then
  return { 'recovering', -1 }
end
local wait_ms = waits_until - now
if wait_ms > longest_wait_ms then
  -- The clock was set back. As long again as the window is, and no longer.
  wait_ms = longest_wait_ms
  redis.call('HSET', SERVER, 'until', string.format('%.0f', now + wait_ms))
end
if wait_ms > 0 then
  return { 'recovering', wait_ms }
end

local max, policy = limit(ARGV[3], ARGV[4])

local function wait(victim, displaced)
  return { 'wait', victim, displaced, redis.call('ZCARD', HELD), max }
end

local waits_for = redis.call('HGET', STATE, 'n|' .. lease)
if waits_for then
  if redis.call('ZSCORE', HELD, waits_for) and alive(waits_for) then
    return wait(waits_for, '')
  end
  vacate(waits_for)
  return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
end

local name = 's|' .. session_of(lease)
local namesake = redis.call('HGET', STATE, name)
if ARGV[6] == '1' then
  return { 'displaced', namesake or '' }
end

local function wait_for(victim, displaced)
  redis.call('HSET', STATE, 'n|' .. lease, victim, 'v|' .. victim, lease, 'g|' .. lease, next_generation(), name, lease)
  redis.call('HSET', INFO, lease, info)
  note_as_mine(owner)
  if not alive(victim) then
    vacate(victim)
    return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
  end
  return wait(victim, displaced)
end

local function take_turn_of(newcomer)
  local victim = cancel_ticket(newcomer)
  forget(newcomer)
  return wait_for(victim, newcomer)
end

local function oldest_that_stays()
  for at = 0, redis.call('ZCARD', HELD) - 1 do
    local holder = redis.call('ZRANGE', HELD, at, at)[1]
    if not newcomer_for(holder) then
      return holder
    end
  end
end

-- The same session again replaces itself, and never counts twice.
if namesake then
  if redis.call('HEXISTS', STATE, 'n|' .. namesake) == 1 then
    return take_turn_of(namesake)
  end
  if redis.call('ZSCORE', HELD, namesake) then
    local other = newcomer_for(namesake)
    if not other then
      return wait_for(namesake, '')
    end
    -- It is leaving already, for somebody else: who then has to wait for the next oldest, and asks whom.
    local spare = oldest_that_stays()
    if not spare then
      return take_turn_of(other)
    end
    redis.call('HSET', STATE, 'n|' .. other, spare, 'v|' .. spare, other)
    return wait_for(namesake, '')
  end
end

if max > 0 and redis.call('ZCARD', HELD) >= max then
  vacate_the_dead()
end
local count = redis.call('ZCARD', HELD)
if max == 0 or count < max then
  redis.call('HSET', INFO, lease, info)
  redis.call('HSET', STATE, name, lease)
  note_as_mine(owner)
  local new = next_generation()
  redis.call('ZADD', HELD, new, lease)
  if count == 0 then
    keep()
  end
  return { 'held', new }
end
if policy == 'reject' then
  return { 'full', count, max }
end
-- If all are leaving, the newcomer that has waited longest is now the oldest: it gives up its turn.
local oldest = oldest_that_stays()
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
return take_turn_of(longest)
