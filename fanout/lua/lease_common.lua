-- Places of one owner (an agent, a user), and who may hold them. The head of every lease_*.lua script.
--
-- A lease is named INCARNATION|NUMBER|SESSION: which process holds it, which of its connections, under which name.
-- Alive is what belongs to an incarnation whose heartbeat has not run out.
--
-- ARGV  those of the script below it
-- Returns nothing by itself; each function is O(log n), vacate_the_dead O(n)
-- KEYS  1 nodes   zset  incarnation → when its heartbeat runs out (ms of Redis TIME)
--       2 server  hash  id, life: which Redis server, with which data, this is; until: before that (ms) nobody new
--                       gets a place
--       3 mine    set   owners of which the asking process has held places
--       4 held    zset  lease → generation; the number of members is the count that the limit bounds
--       5 info    hash  lease → what people want to know of it (JSON), also of those that wait
--       6 state   hash  s|SESSION → the newest lease of that name, held or waiting
--                       n|NEWCOMER → victim, v|VICTIM → newcomer: a place that is kept for the newcomer until the
--                       victim's socket is closed; g|NEWCOMER → its generation, given when it came
--                       .g: the last generation; .d: when the dead were last searched for (ms)
--       7 limit   hash  max, policy: a limit of this owner's own
local NODES, SERVER, MINE, HELD, INFO, STATE, LIMIT = unpack(KEYS)
local KEEP_SECONDS = 86400
local SMALL, SEARCH_EVERY_MS = 64, 500

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function alive(lease)
  local expiry = redis.call('ZSCORE', NODES, lease:match('^[^|]*'))
  return expiry and tonumber(expiry) > now
end

local function session_of(lease)
  return lease:match('^[^|]*|[^|]*|(.*)$')
end

-- Rises even if a failover has lost the last increments: counter or clock, whichever is ahead. Below 2^53 until 2255.
local function next_generation()
  local stored = tonumber(redis.call('HGET', STATE, '.g') or '0')
  local generation = string.format('%.0f', math.max(stored + 1, now * 1000))
  redis.call('HSET', STATE, '.g', generation)
  return generation
end

-- When the first one comes, and by every repair: what is left of nodes that died with everybody else goes after a day.
local function keep()
  redis.call('EXPIRE', HELD, KEEP_SECONDS)
  redis.call('EXPIRE', INFO, KEEP_SECONDS)
  redis.call('EXPIRE', STATE, KEEP_SECONDS)
end

local function note_as_mine(owner)
  redis.call('SADD', MINE, owner)
  redis.call('EXPIRE', MINE, KEEP_SECONDS)
end

-- Nothing is kept of an owner whom nobody holds a place of, and nobody waits for. A generation that is forgotten is
-- made good by the clock, and no lease has the same name twice.
local function tidy_up()
  if redis.call('EXISTS', HELD, INFO) == 0 then
    redis.call('DEL', STATE)
  end
end

local function forget(lease)
  local name = 's|' .. session_of(lease)
  redis.call('HDEL', INFO, lease)
  if redis.call('HGET', STATE, name) == lease then
    redis.call('HDEL', STATE, name)
  end
end

-- Whoever waited no longer does. A namesake that was to be replaced goes by the name again.
local function cancel_ticket(newcomer)
  local victim = redis.call('HGET', STATE, 'n|' .. newcomer)
  if victim then
    redis.call('HDEL', STATE, 'n|' .. newcomer, 'v|' .. victim, 'g|' .. newcomer)
    if session_of(victim) == session_of(newcomer) and redis.call('ZSCORE', HELD, victim) then
      redis.call('HSET', STATE, 's|' .. session_of(victim), victim)
    end
  end
  return victim
end

-- Who waits for the place of a lease, if it lives. The dead do not keep a place from the living.
local function newcomer_for(victim)
  local newcomer = redis.call('HGET', STATE, 'v|' .. victim)
  if newcomer and not alive(newcomer) then
    forget(newcomer)
    cancel_ticket(newcomer)
    return nil
  end
  return newcomer or nil
end

-- Free the place of a lease whose socket is closed, or whose node is dead. Whoever waits for it gets it in the same
-- step; returned is that lease, or ''.
local function vacate(lease)
  redis.call('ZREM', HELD, lease)
  forget(lease)
  local newcomer = newcomer_for(lease)
  if not newcomer then
    return ''
  end
  local generation = redis.call('HGET', STATE, 'g|' .. newcomer)
  cancel_ticket(newcomer)
  redis.call('ZADD', HELD, generation, newcomer)
  return newcomer
end

-- Asked for by everybody who finds the house full: a large one is searched twice a second at most.
local function vacate_the_dead()
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
      lives[incarnation] = alive(lease) or false
    end
    if not lives[incarnation] then
      vacate(lease)
    end
  end
end

-- The owner's own limit, or what the node has as its setting.
local function limit(max, policy)
  local own = redis.call('HMGET', LIMIT, 'max', 'policy')
  return tonumber(own[1] or max), own[2] or policy
end

-- Who has to go so that no more than max hold a place: under evict_oldest the oldest, under reject the newest.
local function surplus(max, policy)
  local over = redis.call('ZCARD', HELD) - max
  if max == 0 or over <= 0 then
    return {}
  end
  vacate_the_dead()
  over = redis.call('ZCARD', HELD) - max
  if over <= 0 then
    return {}
  end
  return redis.call(policy == 'reject' and 'ZREVRANGE' or 'ZRANGE', HELD, 0, over - 1)
end
