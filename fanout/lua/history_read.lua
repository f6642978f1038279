-- Read from a channel's history. Asked for nothing, it tells the head; a channel that had none has one then.
-- KEYS  the three of history_common.lua
-- ARGV  1 lowest offset  2 highest offset, or '+'  3 how many entries at the most (0: none)  4 'last' or 'first': which
--       5 seconds to keep a new head  6 milliseconds a new server waits
-- Returns {'EPOCH OFFSET', entries, rising}   O(entries)
local epoch, offset, is_new = position(ARGV[6])
local place = epoch .. ' ' .. string.format('%.0f', offset)
if is_new then
  redis.call('SET', HEAD, place, 'EX', ARGV[5])
end
local count = tonumber(ARGV[3])
if count == 0 then
  return { place, {} }
end
if ARGV[4] == 'first' then
  return { place, redis.call('XRANGE', LOG, ARGV[1], ARGV[2], 'COUNT', count) }
end
local falling, rising = redis.call('XREVRANGE', LOG, ARGV[2], ARGV[1], 'COUNT', count), {}
for i = #falling, 1, -1 do
  rising[#rising + 1] = falling[i]
end
return { place, rising }
