-- Be the one process that delivers to the target of the HTTP hooks, or go on being it: so events arrive in order.
-- KEYS  1 hooks-leader
-- ARGV  1 the process  2 milliseconds; 0: another process may be it from now on
-- Returns 1 if it is this one, else 0.   O(1)
local leader = redis.call('GET', KEYS[1])
if leader and leader ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
