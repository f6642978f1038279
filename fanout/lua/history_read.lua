-- Read from a channel's history, or only its head. A channel without a head gets one.
-- KEYS  the three of history_common.lua
-- ARGV  1 lowest offset  2 highest offset, or '+'  3 entries at most (0: only the head)  4 'first' or 'last': which of
--       them  5 seconds to keep a new head  6 milliseconds for which a new server grants no leases
-- Returns {'EPOCH OFFSET', entries in ascending order}   O(entries)
local epoch, offset, is_new = position(ARGV[6])
local head = epoch .. ' ' .. string.format('%.0f', offset)
if is_new then
  redis.call('SET', HEAD, head, 'EX', ARGV[5])
end
local count = tonumber(ARGV[3])
if count == 0 then
  return { head, {} }
end
if ARGV[4] == 'first' then
  return { head, redis.call('XRANGE', LOG, ARGV[1], ARGV[2], 'COUNT', count) }
end
local falling, rising = redis.call('XREVRANGE', LOG, ARGV[2], ARGV[1], 'COUNT', count), {}
for i = #falling, 1, -1 do
  rising[#rising + 1] = falling[i]
end
return { head, rising }
