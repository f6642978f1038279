-- Take a place, or wait for one, or be told that there is none. Idempotent: asked again, it tells how things stand.
-- KEYS  the seven of lease_common.lua
-- ARGV  1 lease  2 info (JSON)  3 max (0: no limit)  4 policy: reject or evict_oldest  5 owner, as it stands in mine
--       6 '1': it was told to wait before
-- Returns  {'fenced'}                 the asking node's heartbeat has run out: it may hold nothing
--          {'recovering', ms}         the server may have forgotten leases: ask again then (-1: it is not known at all)
--          {'held', generation}
--          {'full', count, max}
--          {'displaced'}              it was told to wait, and its turn has been taken over since
--          {'wait', victim, displaced, count, max}
--                                     the victim has to be closed, and so has `displaced`, a newcomer whose turn to
--                                     wait is taken over ('' if none)
-- O(log n), and O(n) only when full
local lease, info, owner = ARGV[1], ARGV[2], ARGV[5]

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
if tonumber(waits_until) > now then
  return { 'recovering', waits_until - now }
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

if ARGV[6] == '1' then
  return { 'displaced' }
end

local name = 's|' .. session_of(lease)
local namesake = redis.call('HGET', STATE, name)

local function wait_for(victim, displaced)
  redis.call('HSET', STATE, 'n|' .. lease, victim, 'v|' .. victim, lease, 'g|' .. lease, next_generation(), name, lease)
  redis.call('HSET', INFO, lease, info)
  redis.call('SADD', MINE, owner)
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

-- The same session again replaces itself, and never counts twice.
if namesake then
  if redis.call('HEXISTS', STATE, 'n|' .. namesake) == 1 then
    return take_turn_of(namesake)
  end
  if redis.call('ZSCORE', HELD, namesake) and redis.call('HEXISTS', STATE, 'v|' .. namesake) == 0 then
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
  redis.call('SADD', MINE, owner)
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
-- The oldest of those that hold a place and are not leaving yet. If all are leaving, the newcomer that has waited
-- longest is now the oldest: it gives up its turn.
local longest, since
for at = 0, count - 1 do
  local holder = redis.call('ZRANGE', HELD, at, at)[1]
  local newcomer = redis.call('HGET', STATE, 'v|' .. holder)
  if not newcomer then
    return wait_for(holder, '')
  end
  local came = tonumber(redis.call('HGET', STATE, 'g|' .. newcomer))
  if not since or came < since then
    longest, since = newcomer, came
  end
end
return take_turn_of(longest)
