-- End the life of a server that a node has proven to have lost data.
-- KEYS  1 server   ARGV  1 the life in which it was proven: another one is not ended
-- Returns 1 if the life ended, 0 if another one had begun.   O(1)
if redis.call('HGET', KEYS[1], 'life') ~= ARGV[1] then
  return 0
end
end_life(KEYS[1])
return 1
