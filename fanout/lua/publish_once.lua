-- Publish a message unless one with the same idempotency key was published before.
-- KEYS  1: the key's memory ({prefix}:{tag}:once:…)
-- ARGV  1: channel  2: envelope  3: seconds to remember
-- Returns 1 if it was published now, 0 if it had been.   O(subscribers of the channel)
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', tonumber(ARGV[3])) then
  return 0
end
redis.call('PUBLISH', ARGV[1], ARGV[2])
return 1
