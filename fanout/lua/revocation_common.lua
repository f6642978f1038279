-- Revocations: tokens, users and agents that all nodes refuse. One hash in one partition.
-- revocations, a hash:  ID       CHANGED|UNTIL|STATE|CREATED|KIND|VALUE (shared/revocations.py)
--                       version  raised by each change of a record; by the clock of Redis, in microseconds
-- Of two records of one ID the one that was changed later holds, so it does not matter in which order they come, nor how
-- often. The scripts read CHANGED (microseconds), UNTIL (seconds) and STATE, `revoked` or `lifted`, and nothing else.
--
-- A *stamp* is the version with the number of fields: nodes that know the same stamp know the same records. It differs
-- from all before where fields were lost, and where the data is that of another server.
local KEY = KEYS[1]

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function digits(number)
  return string.format('%.0f', number)
end

local function stamp()
  local count = redis.call('HLEN', KEY)
  return count == 0 and '' or (redis.call('HGET', KEY, 'version') or '') .. '|' .. count
end

local function raise_version()
  local last = tonumber(redis.call('HGET', KEY, 'version') or 0)
  if not last or last ~= last or math.abs(last) >= 2 ^ 53 then -- no node has written it
    last = 0
  end
  redis.call('HSET', KEY, 'version', digits(math.max(microseconds(), last + 1)))
end

-- What is read of a record; nil: there is none, or no node has written it.
local function parsed(text)
  local changed, till, state, rest = (text or ''):match('^(%d+)|(%d+)|(%a+)|(.+)$')
  if not changed or #changed > 16 or tonumber(changed) >= 2 ^ 53 or #till > 12 then
    return nil
  end
  return { changed = tonumber(changed), till = tonumber(till), state = state, rest = rest, text = text }
end

-- The record that holds of what is stored and what the node knows: Redis may have lost the later one.
local function latest(id, known)
  local stored, other = parsed(redis.call('HGET', KEY, id)), parsed(known)
  if stored and other then
    return other.changed > stored.changed and other or stored
  end
  return stored or other
end

local function is_active(record, now)
  return record and record.state == 'revoked' and record.till * 1000000 > now
end

-- When a record is changed that follows this one.
local function next_change(record, now)
  return record and math.max(now, record.changed + 1) or now
end
