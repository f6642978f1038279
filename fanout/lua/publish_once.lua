-- Publish a message without history, unless one with the same idempotency key was published before.
-- KEYS  1 the result stored for the idempotency key
-- ARGV  1 channel  2 envelope  3 seconds to remember the key
-- Returns 1 if it was published now, 0 if it had been before.   O(subscribers of the channel)
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', tonumber(ARGV[3])) then
  return 0
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
