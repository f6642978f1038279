-- Read from a channel's history, or only its head. For a channel without a head, or with one of a former life, a new one
-- is stored.
-- KEYS  the three of history_common.lua
-- ARGV  1 lowest offset  2 highest offset, or '+'  3 entries at most (0: only the head)  4 'first' or 'last': which of
--       them  5 seconds to keep the head  6 milliseconds for which a new server grants no leases  7 bytes of the
--       entries at most, but for the first of them  8 seconds to keep a new head without messages; '': the reader
--       follows the channel from now on, and renews its head
-- Returns {'EPOCH OFFSET', entries in ascending order, 1 if entries are left out because of their bytes, else 0}
--         O(entries)
local epoch, offset, is_new = position(ARGV[6])
local head = epoch .. ' ' .. string.format('%.0f', offset)
local follows = ARGV[8] == ''
if is_new then
  if offset == 0 then
    redis.call('DEL', LOG)
  end
  redis.call('SET', HEAD, head, 'EX', (follows or not is_start(epoch, offset)) and ARGV[5] or ARGV[8])
elseif follows then
  redis.call('EXPIRE', HEAD, ARGV[5])
end
local left, bytes_left = tonumber(ARGV[3]), tonumber(ARGV[7])
local is_rising = ARGV[4] == 'first'
local verb, from, to = 'XRANGE', ARGV[1], ARGV[2]
if not is_rising then
  verb, from, to = 'XREVRANGE', to, from
end
-- In pieces, since the size of entries shows only when they are read: one, and then as many as may fit.
local entries, piece, is_cut = {}, 1, 0
while left > 0 and is_cut == 0 do
  local found = redis.call(verb, LOG, from, to, 'COUNT', math.min(piece, left))
  local size = 0
  for _, entry in ipairs(found) do
    size = math.max(size, #entry[2][2])
    bytes_left = bytes_left - #entry[2][2]
    if bytes_left < 0 and #entries > 0 then
      is_cut = 1
      break
    end
    entries[#entries + 1] = entry
  end
  left = #found < math.min(piece, left) and 0 or left - #found
  if left > 0 and is_cut == 0 then
    from = '(' .. found[#found][1]
    piece = math.max(1, math.min(32 * piece, math.floor(bytes_left / size)))
  end
end
if is_rising then
  return { head, entries, is_cut }
end
local rising = {}
for i = #entries, 1, -1 do
  rising[#rising + 1] = entries[i]
end
return { head, rising, is_cut }
