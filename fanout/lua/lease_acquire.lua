-- Take a place, or wait for one, or be told that there is none. Idempotent: asked again, it tells how things stand.
-- KEYS  the six of lease_common.lua
-- ARGV  1 lease  2 info (JSON)  3 max (0: no limit)  4 policy: reject or evict_oldest
-- Returns  {'fenced'}                          the asking node's heartbeat has run out: it may hold nothing
--          {'held', generation}
--          {'full', count, max}
--          {'wait', victim, code, displaced}   the victim has to be closed with `code`, and so has `displaced`, a
--                                              newcomer whose turn to wait is taken over ('' if none)
-- O(log n), and O(n) only when full
local lease, info = ARGV[1], ARGV[2]
local EVICTED, REPLACED = 4500, 4506

if not alive(lease) then
  return { 'fenced' }
end

local generation = redis.call('ZSCORE', HELD, lease)
if generation then
  return { 'held', string.format('%.0f', generation) }
end

local own = redis.call('HMGET', META, 'max', 'policy')
local max, policy = tonumber(own[1] or ARGV[3]), own[2] or ARGV[4]

local waits_for = redis.call('HGET', TICKETS, 'n|' .. lease)
if waits_for then
  if redis.call('ZSCORE', HELD, waits_for) and alive(waits_for) then
    return { 'wait', waits_for, EVICTED, '' }
  end
  vacate(waits_for)
  return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
end

local namesake = redis.call('HGET', NAMES, session_of(lease))

local function wait_for(victim, code, displaced)
  redis.call('HSET', TICKETS, 'n|' .. lease, victim, 'v|' .. victim, lease, 'g|' .. lease, next_generation())
  redis.call('HSET', INFO, lease, info)
  redis.call('HSET', NAMES, session_of(lease), lease)
  keep()
  if not alive(victim) then
    vacate(victim)
    return { 'held', string.format('%.0f', redis.call('ZSCORE', HELD, lease)) }
  end
  return { 'wait', victim, code, displaced }
end

local function take_turn_of(newcomer, code)
  local victim = cancel_ticket(newcomer)
  forget(newcomer)
  return wait_for(victim, code, newcomer)
end

-- The same session again replaces itself, and never counts twice.
if namesake then
  if redis.call('HEXISTS', TICKETS, 'n|' .. namesake) == 1 then
    return take_turn_of(namesake, REPLACED)
  end
  if redis.call('ZSCORE', HELD, namesake) and redis.call('HEXISTS', TICKETS, 'v|' .. namesake) == 0 then
    return wait_for(namesake, REPLACED, '')
  end
end

if max > 0 and redis.call('ZCARD', HELD) >= max then
  vacate_the_dead()
end
local count = redis.call('ZCARD', HELD)
if max == 0 or count < max then
  redis.call('HSET', INFO, lease, info)
  redis.call('HSET', NAMES, session_of(lease), lease)
  return { 'held', hold(lease, next_generation()) }
end
if policy == 'reject' then
  return { 'full', count, max }
end
-- The oldest of those that hold a place and are not leaving yet. If all are leaving, the newcomer that has waited
-- longest is now the oldest: it gives up its turn.
local longest, since
for _, holder in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
  local newcomer = redis.call('HGET', TICKETS, 'v|' .. holder)
  if not newcomer then
    return wait_for(holder, EVICTED, '')
  end
  local came = tonumber(redis.call('HGET', TICKETS, 'g|' .. newcomer))
  if not since or came < since then
    longest, since = newcomer, came
  end
end
return take_turn_of(longest, EVICTED)
