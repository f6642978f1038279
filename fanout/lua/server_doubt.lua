-- End the life of a server that a node has proven to have lost data. The next script that needs a life begins one.
-- KEYS  1 server   ARGV  1 the life in which it was proven: another one is not ended
-- Returns 1 if the life ended, 0 if another one had begun.   O(1)
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  return 0
end
redis.call('HDEL', KEYS[1], 'life', 'until')
return 1
