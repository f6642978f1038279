-- The slot of this partition has moved to another server, with all its data: then its life goes on.
-- KEYS  1 server   ARGV  1 replication id of the server that it came from  2 of this one, as it was before it came
-- Returns 1 if it goes on, or did already; 0: it is not known where this data comes from, or this is another server by
--          now.   O(1), 8 µs for INFO
local id = redis.call('INFO', 'replication'):match('master_replid:(%x+)')
local known = redis.call('HGET', KEYS[1], 'id')
if known == ARGV[1] and id == ARGV[2] then
  redis.call('HSET', KEYS[1], 'id', id)
  return 1
end
return known == id and 1 or 0
