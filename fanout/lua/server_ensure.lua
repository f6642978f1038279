-- Is this the Redis server that we knew, with the data that we knew? A promoted replica, or a server that came back with
-- an old dump, or with none, may have forgotten leases: then nobody new gets a place until every node has had the time
-- to state what it holds.
-- KEYS  1 server   ARGV  1 milliseconds to wait if it is another one
-- Returns {life, milliseconds until it gives places}: life is another one after every loss.   O(1), 8 µs for INFO
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local id = redis.call('INFO', 'replication'):match('master_replid:(%x+)')
if redis.call('HGET', KEYS[1], 'id') ~= id then
  local life = id .. '-' .. time[1] .. '-' .. time[2]
  local born = string.format('%.0f', time[1] * 1000000 + time[2])
  local wait_until = string.format('%.0f', now + tonumber(ARGV[1]))
  redis.call('HSET', KEYS[1], 'id', id, 'life', life, 'born', born, 'until', wait_until)
end
local known = redis.call('HMGET', KEYS[1], 'life', 'until')
return { known[1], math.max(0, known[2] - now) }
