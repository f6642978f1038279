-- Forget writers that have ended, and have left nothing.
-- KEYS  1 archive   ARGV  1 milliseconds without a sign of one
-- Returns how many were forgotten.   O(writers)
local found = redis.pcall('XINFO', 'CONSUMERS', KEYS[1], 'archive')
local forgotten = 0
for _, writer in ipairs(found.err and {} or found) do
  local fields = {}
  for at = 1, #writer, 2 do
    fields[writer[at]] = writer[at + 1]
  end
  if fields.pending == 0 and fields.idle > tonumber(ARGV[1]) then
    forgotten = forgotten + 1
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], 'archive', fields.name)
  end
end
return forgotten
