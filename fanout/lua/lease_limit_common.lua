-- The limit of an owner. Behind lease_common.lua in the head of the scripts that need it.

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
  if redis.call('EXISTS', LIMIT, LIMITS) == 0 then
    return tonumber(max), policy
  end
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
  if max == 0 or held <= max then
    return {}
  end
  free_dead_leases()
  if held <= max then
    return {}
  end
  return redis.call(policy == 'reject' and 'ZREVRANGE' or 'ZRANGE', HELD, 0, held - max - 1)
end
