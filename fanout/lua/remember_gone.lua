-- Remember why a session was refused or closed.
-- KEYS  1 gone (list, newest first)  2 gone-owners: zset, owner → when its last entry came (ms)
-- ARGV  1 entry (JSON)  2 how many are kept  3 seconds  4 owner  5 how many owners of a partition are kept
-- Returns the owners that are too many, those whose last entry is oldest: the caller deletes their lists. An entry that
--         is remembered already, since its reply was lost, is not added again.   O(how many entries are kept + log owners)
local AT_ONCE = 100

if redis.call('LPOS', KEYS[1], ARGV[1]) then
  return {}
end
redis.call('LPUSH', KEYS[1], ARGV[1])
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[3])

local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[3])
local surplus, removed = redis.call('ZCARD', KEYS[2]) - ARGV[5], {}
if surplus > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], math.min(surplus, AT_ONCE))
  for at = 1, #oldest, 2 do
    removed[#removed + 1] = oldest[at]
  end
end
return removed
