-- The slot of this partition has moved to another server with all its data: let its life, and so its epochs, go on.
-- KEYS  1 server   ARGV  1 replication id of the server from which it came  2 of this server, before the slot came
-- Returns 1 if its life goes on, or did so already; 0: the data is of yet another server, or this server has changed
--          since.   O(1), 8 µs for INFO
local id = replication_id()
local known = redis.call('HGET', KEYS[1], 'id')
if known == ARGV[1] and id == ARGV[2] then
  redis.call('HSET', KEYS[1], 'id', id)
  return 1
end
return known == id and 1 or 0
