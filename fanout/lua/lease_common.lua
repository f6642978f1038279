-- The leases of one owner (an agent or a user). The head of every lease_*.lua script.
--
-- A lease is named INCARNATION|NUMBER|SESSION: the process that holds it, which of its connections, and the session id.
-- A lease is alive while the heartbeat of its incarnation has not expired.
--
-- A lease that has to wait (the newcomer) waits for the lease of one session that is being closed (its victim). Each
-- victim has one newcomer at most. Freeing the victim grants its newcomer in the same step, so the count of held leases
-- never exceeds the limit in between.
--
-- Any of these keys may be deleted from outside: evicted, or by a clean-up script. `state` counts the members of `held`
-- and `info`; where they differ, something was lost, and what is left is not relied on (`forget_owner`).
--
-- None of them has a time to live: a Redis that evicts only keys that have one never takes them. The process of a lease
-- frees it, or, where that is dead, any other (lease_dead.lua), and with the last lease all of them are gone.
--
-- Redis does not roll a script back where it refuses one of its commands, as it does if its user has lost a right. So
-- the order of writes matters: what is written before such a command is harmless, or makes these counts differ.
--
-- ARGV  those of the script below it; the last one is for how long a heartbeat holds, in ms
-- Returns nothing by itself; each function is O(log n), free_dead_leases O(n)
-- KEYS  1 heartbeats zset  incarnation → when its heartbeat expires (ms of Redis TIME); .since: see heartbeat.lua
--       2 server     hash  id, life: the server and its data; until: no new leases are granted before that (ms);
--                          losses: rises where keys were found to be lost, so that nodes state what they hold;
--                          lost|OWNER: when keys of this owner were found to be lost (ms)
--       3 owners     set   owners of whom the calling process holds or has held leases
--       4 held       zset  lease → generation; the number of members is the count that the limit bounds
--       5 info       hash  lease → its description (JSON), also of leases that wait
--       6 state      hash  s|SESSION → the newest lease of that session, held or waiting
--                          n|NEWCOMER → victim, v|VICTIM → newcomer: which lease waits for which
--                          g|NEWCOMER → its generation, given when it began to wait
--                          .g: the last generation; .d: when dead leases were last searched for (ms)
--                          .held, .infos: how many members held and info have
--       7 limit      hash  max, policy: a limit that was set for this owner
--       8 limits     hash  owner → MAX POLICY: the limits that were set for owners of the partition, once more
local HEARTBEATS, SERVER, OWNERS, HELD, INFO, STATE, LIMIT, LIMITS = unpack(KEYS)
local LEASE_MS = tonumber(ARGV[#ARGV])
local OWNER = LIMIT:sub(#LIMITS + 1) -- `limits` is as long as the part of `limit` before the owner
local SMALL, SEARCH_EVERY_MS = 64, 500

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function alive(lease)
  local expiry = redis.call('ZSCORE', HEARTBEATS, lease:match('^[^|]*'))
  return expiry and tonumber(expiry) > now
end

-- Whether another lease may still be used. If the heartbeats were lost, one that is not known yet may come: for as long
-- as a node may rely on its last one, it counts.
local function may_be_alive(lease)
  local expiry = redis.call('ZSCORE', HEARTBEATS, lease:match('^[^|]*'))
  if expiry then
    return tonumber(expiry) > now
  end
  local since = redis.call('ZSCORE', HEARTBEATS, '.since')
  return not since or math.abs(now + tonumber(since)) < LEASE_MS
end

-- Another name than a node gives ends the script: unreadable_remove.lua then removes it.
local function session_of(lease)
  return lease:match('^[^|]+|%d+|([!-~]+)$') or error('a stored lease has no name of one')
end

-- Rises even if a failover has lost the last increments: the counter or the clock, whichever is ahead. Below 2^53, so
-- exact as a number of Lua, until 2255.
local function next_generation()
  local stored = tonumber(redis.call('HGET', STATE, '.g') or '0')
  local generation = string.format('%.0f', math.max(stored + 1, now * 1000))
  redis.call('HSET', STATE, '.g', generation)
  return generation
end

-- Before the first lease of the owner: by this, what a dead process has left is found (lease_dead.lua).
local function note_owner(owner)
  redis.call('SADD', OWNERS, owner)
end

-- For how long this owner gets no new leases, in ms: nodes are stating those that they hold. 0 or less: they have.
local function lost_for()
  local lost = redis.call('HGET', SERVER, 'lost|' .. OWNER)
  local ms = lost and lost + LEASE_MS - now or 0
  if lost and ms <= 0 then
    redis.call('HDEL', SERVER, 'lost|' .. OWNER)
  elseif ms > LEASE_MS then -- the clock of the server was set back
    redis.call('HSET', SERVER, 'lost|' .. OWNER, string.format('%.0f', now))
    ms = LEASE_MS
  end
  return ms
end

-- For how long the server grants nobody a new lease, in ms, since it may have lost data; nil: it is not identified yet.
local function recovering_for()
  local waits_until = redis.call('HGET', SERVER, 'until')
  local ms = waits_until and waits_until - now
  if ms and ms > LEASE_MS then -- the clock of the server was set back
    redis.call('HSET', SERVER, 'until', string.format('%.0f', now + LEASE_MS))
    ms = LEASE_MS
  end
  return ms
end

-- Delete the state of an owner without leases, held or waiting. The clock replaces the generation that is forgotten,
-- and no lease has the same name twice.
local function tidy_up()
  if redis.call('EXISTS', HELD, INFO) == 0 then
    redis.call('DEL', STATE)
  end
end

-- Keys of the owner were lost, so what is left says nothing: each node states its leases with its next heartbeat, or is
-- fenced, before the first new one is granted. Without the keys nothing shows the loss any more, so they go last.
local function forget_owner()
  redis.call('HINCRBY', SERVER, 'losses', 1)
  redis.call('HSET', SERVER, 'lost|' .. OWNER, string.format('%.0f', now))
  redis.call('DEL', HELD, INFO, STATE)
end

local counted = redis.call('HMGET', STATE, '.held', '.infos')
if redis.call('ZCARD', HELD) ~= tonumber(counted[1] or 0) or redis.call('HLEN', INFO) ~= tonumber(counted[2] or 0) then
  forget_owner()
end

local function describe(lease, info)
  redis.call('HINCRBY', STATE, '.infos', redis.call('HSET', INFO, lease, info))
end

local function hold(lease, generation)
  redis.call('HINCRBY', STATE, '.held', redis.call('ZADD', HELD, generation, lease))
end

local function forget(lease)
  local name = 's|' .. session_of(lease)
  if redis.call('HDEL', INFO, lease) == 1 then
    redis.call('HINCRBY', STATE, '.infos', -1)
  end
  if redis.call('HGET', STATE, name) == lease then
    redis.call('HDEL', STATE, name)
  end
end

-- Let a newcomer wait no longer. If its victim is of the same session, that is the newest lease of the session again.
local function cancel_wait(newcomer)
  local victim = redis.call('HGET', STATE, 'n|' .. newcomer)
  if victim then
    redis.call('HDEL', STATE, 'n|' .. newcomer, 'v|' .. victim, 'g|' .. newcomer)
    if session_of(victim) == session_of(newcomer) and redis.call('ZSCORE', HELD, victim) then
      redis.call('HSET', STATE, 's|' .. session_of(victim), victim)
    end
  end
  return victim
end

-- The newcomer that waits for a lease, if it is alive. A dead newcomer is removed.
local function newcomer_for(victim)
  local newcomer = redis.call('HGET', STATE, 'v|' .. victim)
  if newcomer and not may_be_alive(newcomer) then
    forget(newcomer)
    cancel_wait(newcomer)
    return nil
  end
  return newcomer or nil
end

-- Free a lease whose socket is closed, or whose node is dead. A newcomer that waits for it is granted in the same step,
-- and waits until it is: one that neither waits nor holds a lease would be closed. Returns that lease, or ''.
--
-- But not while other nodes may still state leases: what was granted last may be lost with a failed server, and the data
-- that is left still has a newcomer wait that was granted or displaced there. It is forgotten, and asks again.
local function free_lease(lease)
  if redis.call('ZREM', HELD, lease) == 1 then
    redis.call('HINCRBY', STATE, '.held', -1)
  end
  forget(lease)
  local newcomer = newcomer_for(lease)
  if not newcomer then
    return ''
  end
  local wait_ms = recovering_for()
  if not wait_ms or wait_ms > 0 or lost_for() > 0 then
    forget(newcomer)
    cancel_wait(newcomer)
    return ''
  end
  hold(newcomer, redis.call('HGET', STATE, 'g|' .. newcomer))
  cancel_wait(newcomer)
  return newcomer
end

-- Called by every acquire that finds the limit reached: many leases are searched twice a second at most.
local function free_dead_leases()
  if redis.call('ZCARD', HELD) > SMALL then
    local ago = now - tonumber(redis.call('HGET', STATE, '.d') or '0')
    if ago >= 0 and ago < SEARCH_EVERY_MS then
      return
    end
    redis.call('HSET', STATE, '.d', string.format('%.0f', now))
  end
  local lives = {}
  for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
    local incarnation = lease:match('^[^|]*')
    if lives[incarnation] == nil then
      lives[incarnation] = may_be_alive(lease)
    end
    if not lives[incarnation] then
      free_lease(lease)
    end
  end
end

local function set_limit(max, policy)
  redis.call('HSET', LIMIT, 'max', max, 'policy', policy)
  redis.call('HSET', LIMITS, OWNER, max .. ' ' .. policy)
end

-- Whether an operator can have set it. Another one counts as lost.
local function is_limit(max, policy)
  return max and #max <= 9 and max:match('^%d+$') and (policy == 'reject' or policy == 'evict_oldest')
end

-- The limit that was set for the owner, or else the node's setting. It stands in two keys; one that was lost is written
-- again from the other.
local function limit(max, policy)
  local own = redis.call('HMGET', LIMIT, 'max', 'policy')
  if is_limit(own[1], own[2]) then
    if redis.call('HEXISTS', LIMITS, OWNER) == 0 then
      set_limit(own[1], own[2])
    end
    return tonumber(own[1]), own[2]
  end
  local copied_max, copied_policy = (redis.call('HGET', LIMITS, OWNER) or ''):match('^(%d+) (%S+)$')
  if is_limit(copied_max, copied_policy) then
    set_limit(copied_max, copied_policy)
    return tonumber(copied_max), copied_policy
  end
  return tonumber(max), policy
end

-- The leases beyond max, whose sessions have to be closed: under evict_oldest the oldest, under reject the newest.
local function surplus(max, policy)
  local over = redis.call('ZCARD', HELD) - max
  if max == 0 or over <= 0 then
    return {}
  end
  free_dead_leases()
  over = redis.call('ZCARD', HELD) - max
  if over <= 0 then
    return {}
  end
  return redis.call(policy == 'reject' and 'ZREVRANGE' or 'ZRANGE', HELD, 0, over - 1)
end
