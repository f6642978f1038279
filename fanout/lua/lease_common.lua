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
-- and `info`; where that differs, something was lost, and what is left is not relied on (`forget_owner`).
--
-- None of them has a time to live: a Redis that evicts only keys that have one never takes them. The process of a lease
-- frees it, or, where that is dead, any other (lease_dead.lua), and with the last lease all of them are gone.
--
-- Redis does not roll a script back where it refuses one of its commands, as it does if its user has lost a right. So
-- the order of writes matters: what is written before such a command is harmless, or makes these counts differ.
--
-- A call works on one owner after another (`for_each_owner`). An error of one ends that one alone.
--
-- ARGV  1 for how long a heartbeat holds, in ms; then, of each owner, those of the script below it
-- Returns nothing by itself; each function is O(log n), free_dead_leases O(n)
-- KEYS of each owner
--       1 heartbeats zset  incarnation → when its heartbeat expires (ms of Redis TIME); .since: see heartbeat.lua
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
--                          .kept: how many members held and info have together
--       7 limit      hash  max, policy: a limit that was set for this owner
--       8 limits     hash  owner → MAX POLICY: the limits that were set for owners of the partition, once more
local LEASE_MS = tonumber(ARGV[1])
local SMALL, SEARCH_EVERY_MS, KEYS_OF_EACH, SHARED_WORDS = 64, 500, 8, 1
local HEARTBEATS, SERVER, OWNERS, HELD, INFO, STATE, LIMIT, LIMITS, OWNER

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What was read: of each `heartbeats` when a heartbeat expires, fields of `state` (false: missing), of `server` until when
-- no leases are granted and when keys of the owner were lost, how many members `held` and `info` have; and what has to be
-- added to `.kept`.
local expiries = {}
local state, server, held, infos, uncounted

-- Work on the owner whose keys stand behind this position of KEYS.
local function use_owner(key_at)
  HEARTBEATS, SERVER, OWNERS, HELD, INFO, STATE, LIMIT, LIMITS = unpack(KEYS, key_at + 1, key_at + KEYS_OF_EACH)
  OWNER = LIMIT:sub(#LIMITS + 1) -- `limits` is as long as the part of `limit` before the owner
  state, server, uncounted = {}, nil, 0
end

-- The digits of a number: Lua's own conversion to text would round it or give it an exponent.
local function digits(number)
  return string.format('%.0f', number)
end

local function expiry_of(member)
  local name = HEARTBEATS .. member
  if expiries[name] == nil then
    local expiry = redis.call('ZSCORE', HEARTBEATS, member)
    expiries[name] = expiry and tonumber(expiry)
  end
  return expiries[name]
end

local function alive(lease)
  local expiry = expiry_of(lease:match('^[^|]*'))
  return expiry and expiry > now
end

-- Whether another lease may still be used. If the heartbeats were lost, one that is not known yet may come: for as long
-- as a node may rely on its last one, it counts.
local function may_be_alive(lease)
  local expiry = expiry_of(lease:match('^[^|]*'))
  if expiry then
    return expiry > now
  end
  local since = expiry_of('.since')
  return not since or math.abs(now + since) < LEASE_MS
end

-- Another name than a node gives ends the call: unreadable_remove.lua then removes it.
local function session_of(lease)
  return lease:match('^[^|]+|%d+|([!-~]+)$') or error('a stored lease has no name of one')
end

local function read_state(field)
  if state[field] == nil then
    state[field] = redis.call('HGET', STATE, field)
  end
  return state[field]
end

local function set_state(...)
  redis.call('HSET', STATE, ...)
  local words = { ... }
  for at = 1, #words, 2 do
    state[words[at]] = words[at + 1]
  end
end

local function remove_state(...)
  redis.call('HDEL', STATE, ...)
  for _, field in ipairs({ ... }) do
    state[field] = false
  end
end

-- Rises even if a failover has lost the last increments: the counter or the clock, whichever is ahead. Below 2^53, so
-- exact as a number of Lua, until 2255. The caller stores it as `.g`.
local function next_generation()
  return digits(math.max(tonumber(read_state('.g') or '0') + 1, now * 1000))
end

-- Before the first lease of the owner: by this, what a dead process has left is found (lease_dead.lua).
local function note_owner(owner)
  redis.call('SADD', OWNERS, owner)
end

local function read_server()
  if not server then
    server = redis.call('HMGET', SERVER, 'until', 'lost|' .. OWNER)
  end
  return server
end

-- For how long this owner gets no new leases, in ms: nodes are stating those that they hold. 0 or less: they have.
local function lost_for()
  local lost = read_server()[2]
  local ms = lost and lost + LEASE_MS - now or 0
  if lost and ms <= 0 then
    redis.call('HDEL', SERVER, 'lost|' .. OWNER)
    server[2] = false
  elseif ms > LEASE_MS then -- the clock of the server was set back
    server[2] = digits(now)
    redis.call('HSET', SERVER, 'lost|' .. OWNER, server[2])
    ms = LEASE_MS
  end
  return ms
end

-- For how long the server grants nobody a new lease, in ms, since it may have lost data; nil: it is not identified yet.
local function recovering_for()
  local waits_until = read_server()[1]
  local ms = waits_until and waits_until - now
  if ms and ms > LEASE_MS then -- the clock of the server was set back
    server[1] = digits(now + LEASE_MS)
    redis.call('HSET', SERVER, 'until', server[1])
    ms = LEASE_MS
  end
  return ms or nil
end

-- Delete the state of an owner without leases, held or waiting. The clock replaces the generation that is forgotten,
-- and no lease has the same name twice.
local function tidy_up()
  if held + infos == 0 then
    redis.call('DEL', STATE)
    state, uncounted = {}, 0
  end
end

-- Keys of the owner were lost, so what is left says nothing: each node states its leases with its next heartbeat, or is
-- fenced, before the first new one is granted. Without the keys nothing shows the loss any more, so they go last.
local function forget_owner()
  redis.call('HINCRBY', SERVER, 'losses', 1)
  redis.call('HSET', SERVER, 'lost|' .. OWNER, digits(now))
  redis.call('DEL', HELD, INFO, STATE)
  state, server, held, infos, uncounted = {}, nil, 0, 0, 0
end

-- The first step of each script: read what there is of the owner, with these fields of `state` that it will need.
local function read_owner(...)
  held, infos = redis.call('ZCARD', HELD), redis.call('HLEN', INFO)
  local fields = { '.kept', ... }
  for at, value in ipairs(redis.call('HMGET', STATE, unpack(fields))) do
    state[fields[at]] = value
  end
  if held + infos ~= tonumber(state['.kept'] or 0) then
    forget_owner()
  end
end

-- Run a function for each owner (batch_common.lua): `words` are those of each. It is given the position of ARGV behind which
-- they are. What it has added or removed is counted last, also behind an error.
local function for_each_owner(words, run)
  return for_each_call(KEYS_OF_EACH, words, SHARED_WORDS, function(key_at, word_at)
    use_owner(key_at)
    local is_done, result = pcall(run, word_at)
    if uncounted ~= 0 then
      redis.call('HINCRBY', STATE, '.kept', uncounted)
    end
    return is_done and result or error(result, 0)
  end)
end

local function describe(lease, info)
  local added = redis.call('HSET', INFO, lease, info)
  infos, uncounted = infos + added, uncounted + added
end

local function hold(lease, generation)
  local added = redis.call('ZADD', HELD, generation, lease)
  held, uncounted = held + added, uncounted + added
end

local function is_held(lease)
  return held > 0 and redis.call('ZSCORE', HELD, lease)
end

local function forget(lease)
  local name = 's|' .. session_of(lease)
  local removed = redis.call('HDEL', INFO, lease)
  infos, uncounted = infos - removed, uncounted - removed
  if read_state(name) == lease then
    remove_state(name)
  end
end

-- Let a newcomer wait no longer. If its victim is of the same session, that is the newest lease of the session again.
local function cancel_wait(newcomer)
  local victim = read_state('n|' .. newcomer)
  if victim then
    remove_state('n|' .. newcomer, 'v|' .. victim, 'g|' .. newcomer)
    if session_of(victim) == session_of(newcomer) and is_held(victim) then
      set_state('s|' .. session_of(victim), victim)
    end
  end
  return victim
end

-- The newcomer that waits for a lease, if it is alive. A dead newcomer is removed.
local function newcomer_for(victim)
  local newcomer = read_state('v|' .. victim)
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
  local removed = redis.call('ZREM', HELD, lease)
  held, uncounted = held - removed, uncounted - removed
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
  hold(newcomer, read_state('g|' .. newcomer))
  cancel_wait(newcomer)
  return newcomer
end

-- Called by every acquire that finds the limit reached: many leases are searched twice a second at most.
local function free_dead_leases()
  if held > SMALL then
    local ago = now - tonumber(read_state('.d') or '0')
    if ago >= 0 and ago < SEARCH_EVERY_MS then
      return
    end
    set_state('.d', digits(now))
  end
  for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
    if not may_be_alive(lease) then
      free_lease(lease)
    end
  end
end
