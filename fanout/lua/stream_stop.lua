-- Ask the producer of a stream to stop: it finds that with its next piece.
-- KEYS  1 state   ARGV  none
-- Returns 1 (asked, now or before), 0 (the stream has ended), -1 (there is none of this name)   O(1)
local stored = redis.call('HMGET', KEYS[1], 'to', 'status')
if not stored[1] then
  return -1
end
if stored[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'stop', '1')
return 1
