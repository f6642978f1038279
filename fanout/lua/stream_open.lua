-- Begin a stream.
-- KEYS  those of stream_common.lua
-- ARGV  1 channel  2 stream's id  3 header  4 streams that may be open in the channel  5 milliseconds for which the
--       producer may be silent  6 milliseconds for which a new server grants no leases
-- Returns 1 (it has begun), 2 (it had begun, with the same header), 0 (another stream has this name), -1 (too many are
--         open)   O(1); with too many, O(open)
local header = redis.call('HGET', STATE, 'header')
if header then
  return header == ARGV[3] and 2 or 0
end
local limit = tonumber(ARGV[4])
if redis.call('SCARD', OPEN) >= limit then
  -- Those whose keys have run out, or were lost, are not open.
  local start = STATE:match('^(.*/)')
  for _, id in ipairs(redis.call('SMEMBERS', OPEN)) do
    if redis.call('EXISTS', start .. id) == 0 then
      redis.call('SREM', OPEN, id)
    end
  end
  if redis.call('SCARD', OPEN) >= limit then
    return -1
  end
end
local life = redis.call('HGET', SERVER, 'life') or ensure_life(SERVER, ARGV[6])
local now, timeout = now_ms(), tonumber(ARGV[5])
local at = string.format('%.0f', now)
redis.call('HSET', STATE, 'header', ARGV[3], 'to', '0', 'life', life, 'at', at, 'timeout', ARGV[5], 'renewed', at)
redis.call('DEL', TEXT, END)
renew(now, timeout)
redis.call('PUBLISH', ARGV[1], '\7s' .. ARGV[2] .. ' ' .. ARGV[3])
return 1
