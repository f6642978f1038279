-- Whether messages of a channel, at offsets of this range, may still wait to be written to the archive.
-- KEYS  1 archive
-- ARGV  1 channel, as room:NAME  2 lowest offset  3 highest offset  4 entries to look at, from the oldest on
-- Returns 1 if one does, or if there are more entries than that; else 0.   O(entries)
local lowest, highest = tonumber(ARGV[2]), tonumber(ARGV[3])
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', ARGV[4])
for _, entry in ipairs(entries) do
  local fields = entry[2]
  local offset = fields[2] == ARGV[1] and tonumber((fields[4] or ''):match(' (%d+)$'))
  if offset and offset >= lowest and offset <= highest then
    return 1
  end
end
return redis.call('XLEN', KEYS[1]) > #entries and 1 or 0
