-- Remember why a session was refused or closed.
-- KEYS  1 gone (list, newest first)   ARGV  1 entry (JSON)  2 how many are kept  3 seconds
-- Returns 1, or 0 if it is remembered already: an entry whose reply was lost is sent again.   O(how many are kept)
if redis.call('LPOS', KEYS[1], ARGV[1]) then
  return 0
end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])
return 1
