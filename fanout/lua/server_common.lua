-- The identity of a Redis server together with its data. A promoted replica, or a server that restarted with an old
-- dump or without one, has another replication id than the one in its data: then a new life begins, and leases and
-- epochs of the old one are not relied on.
-- server, a hash:  id     the replication id that was found last
--                  life   random; another one after each possible loss of data
--                  born   when this life began, in microseconds
--                  until  until then (ms) no new leases are granted, so that nodes can state what they hold

-- The life of this server. If it begins now, no new leases are granted for `wait` milliseconds.   O(1), 8 µs for INFO
local function ensure_life(server, wait)
  local time = redis.call('TIME')
  local id = redis.call('INFO', 'replication'):match('master_replid:(%x+)')
  if redis.call('HGET', server, 'id') ~= id then
    local born = string.format('%.0f', time[1] * 1000000 + time[2])
    local life = redis.sha1hex(id .. born .. server):sub(1, 10)
    local wait_until = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(wait))
    redis.call('HSET', server, 'id', id, 'life', life, 'born', born, 'until', wait_until)
  end
  return redis.call('HGET', server, 'life')
end
