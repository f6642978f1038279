-- The streams of a partition whose producers have been silent for too long.
-- KEYS  1 due
-- ARGV  1 how many to look after at most  2 milliseconds for which nobody else is told of what is returned
-- Returns 'kind:name/ID' of each.   O(looked after)
--
-- The time in `due` is when the producer was last seen to be heard, and later: the state says when it was heard last.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local start = KEYS[1]:match('^(.*}:)') .. 'stream:'
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local stored = redis.call('HMGET', start .. member, 'at', 'timeout', 'status')
  local at, timeout = tonumber(stored[1]), tonumber(stored[2])
  if not (at and timeout) or stored[3] then
    redis.call('ZREM', KEYS[1], member)
  elseif at + timeout > now then
    redis.call('ZADD', KEYS[1], string.format('%.0f', at + timeout), member)
  else
    found[#found + 1] = member
    redis.call('ZADD', KEYS[1], string.format('%.0f', now + tonumber(ARGV[2])), member)
  end
end
return found
