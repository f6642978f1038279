-- Take what a node has let through from the buckets of the cluster, one for each owner.
-- KEYS  rate: of each owner the time at which its bucket is full again (microseconds)
-- ARGV  1 microseconds in which one comes back  2 the longest debt (microseconds)  3… how many to take from each
-- Returns for each the microseconds until it is full. What is taken is taken, into debt too, up to the longest: nodes
--         refuse until it is paid. A key that holds anything else counts as a full bucket.   O(keys)
local INTERVAL, LONGEST = tonumber(ARGV[1]), tonumber(ARGV[2])

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local left = {}
for at, key in ipairs(KEYS) do
  local found = redis.pcall('GET', key)
  local full = type(found) == 'string' and found:match('^%d+$') and tonumber(found) or now
  full = math.min(math.max(full, now) + ARGV[at + 2] * INTERVAL, now + LONGEST)
  left[at] = math.ceil(full - now)
  if left[at] > 0 then
    redis.call('SET', key, string.format('%.0f', now + left[at]), 'PX', math.ceil(left[at] / 1000))
  end
end
return left
