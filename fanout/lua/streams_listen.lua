-- Say how many sessions of a node listen to the streams of channels.
-- KEYS  listeners of each (stream_common.lua)
-- ARGV  1 incarnation  2 milliseconds for which it holds  3… sessions, of each
-- Returns of each how many listen on all nodes.   O(nodes)
--
-- A node says nothing when its last session leaves: what it said holds for a moment, in which a page is loaded again.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = string.format('%.0f', now + tonumber(ARGV[2]))
local sums = {}
for at, key in ipairs(KEYS) do
  redis.call('HSET', key, ARGV[1], ARGV[at + 2] .. ' ' .. hold)
  local sum, all = 0, redis.call('HGETALL', key)
  for field = 1, #all, 2 do
    if all[field] ~= 'sum' and all[field] ~= 'until' then
      local sessions, ends = all[field + 1]:match('^(%d+) (%d+)$')
      if sessions and tonumber(ends) > now then
        sum = sum + tonumber(sessions)
      else
        redis.call('HDEL', key, all[field])
      end
    end
  end
  redis.call('HSET', key, 'sum', string.format('%.0f', sum), 'until', hold)
  redis.call('PEXPIRE', key, tonumber(ARGV[2]) * 4)
  sums[at] = sum
end
return sums
