-- The identity of a Redis server together with its data. A promoted replica, or a server that restarted with an old
-- dump or without one, has another replication id than the one in its data: then a new life begins, and leases and
-- epochs of the old one are not relied on.
--
-- Some managed services tell no replication id. There the data bears witness: each heartbeat raises `beats`, a life is
-- `born` after the one before, and a node remembers the latest of both that it has seen. An earlier one in the data shows
-- that the data is older than that.
-- server, a hash:  id     the replication id that was found last; '?': the server told none
--                  life   random; another one after each possible loss of data
--                  born   when this life began, in microseconds: more than of any life before
--                  until  until then (ms) no new leases are granted, so that nodes can state what they hold
--                  archive      which channels are archived: patterns, separated by commas (history_common.lua)
--                  archive_max  messages that may wait to be written to the archive
--                  beats  how many heartbeats were recorded in this partition, of all nodes

-- Errors are ignored: a script may not be allowed to call INFO, and a service may give it without this field.
local function replication_id()
  local info = redis.pcall('INFO', 'replication')
  return type(info) == 'string' and info:match('master_replid:(%x+)') or '?'
end

-- A number of the hash, 0 where it is missing. What is none ends the script: unreadable_remove.lua then removes it.
local function stored_number(text)
  local number = tonumber(text or 0)
  if not number or number ~= number or math.abs(number) >= 2 ^ 53 then
    error('a stored number is none')
  end
  return number
end

-- A life is part of the epochs of its channels, which have no spaces.
local function is_life(text)
  return text and text:match('^%x+$') ~= nil
end

-- Whether data in which the life was `born` and that has so many `beats` is older than what a node has seen of it. What is
-- missing counts as 0.
local function is_older(born, beats, seen_born, seen_beats)
  local at, seen_at = stored_number(born), tonumber(seen_born or 0)
  return at < seen_at or at == seen_at and stored_number(beats) < tonumber(seen_beats or 0)
end

-- The next script that needs a life begins one.
local function end_life(server)
  redis.call('HDEL', server, 'life', 'until')
end

-- The life of this server. If it begins now, no new leases are granted for `wait` milliseconds. `seen_born` and
-- `seen_beats`: what a node has seen in this partition; nil: it does not say.   O(1), 8 µs for INFO
local function ensure_life(server, wait, seen_born, seen_beats)
  local id = replication_id()
  local stored = redis.call('HMGET', server, 'id', 'life', 'born', 'beats', 'until')
  if stored[1] == id and is_life(stored[2]) and stored[5] and not is_older(stored[3], stored[4], seen_born, seen_beats) then
    return stored[2]
  end
  local time = redis.call('TIME')
  local latest = math.max(stored_number(stored[3]), tonumber(seen_born or 0))
  local born = string.format('%.0f', math.max(time[1] * 1000000 + time[2], latest + 1))
  local life = redis.sha1hex(id .. born .. server):sub(1, 10)
  local wait_until = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(wait))
  redis.call('HSET', server, 'id', id, 'life', life, 'born', born, 'until', wait_until)
  return life
end

-- Another life with the same data: all epochs end, and leases go on as they are.   O(1)
local function renew_life(server)
  local wait_until = redis.call('HGET', server, 'until')
  redis.call('HDEL', server, 'life')
  local life = ensure_life(server, 0)
  redis.call('HSET', server, 'until', wait_until)
  return life
end
