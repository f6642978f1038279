-- Read what waits for the target of the HTTP hooks in a partition, from the oldest on. It stays until it is delivered:
-- then its entries are deleted.
-- KEYS  1 hooks
-- ARGV  1 entries at most  2 bytes of them, about
-- Returns entries of the stream, each {id, {field, value, …}}; one, whatever its size.   O(entries)
local PIECE_MAX = 8 -- the size of entries shows only when they are read
local found, left, bytes_left, from = {}, tonumber(ARGV[1]), tonumber(ARGV[2]), '-'

while left > 0 and bytes_left > 0 do
  local asked = #found == 0 and 1 or math.min(left, PIECE_MAX)
  local piece = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', asked)
  for _, entry in ipairs(piece) do
    found[#found + 1], left = entry, left - 1
    for _, word in ipairs(entry[2]) do
      bytes_left = bytes_left - #word
    end
    from = '(' .. entry[1]
  end
  if #piece < asked then
    break
  end
end
return found
