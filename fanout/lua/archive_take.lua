-- Take messages of a partition that wait to be written to the archive: first those that another writer took and has not
-- written for a while, then new ones. They stay in the stream until archive_written.lua.
-- KEYS  1 archive
-- ARGV  1 the writer  2 messages at most  3 bytes of them, about  4 milliseconds for which a writer may have them
-- Returns entries of the stream, each {id, {'c', 'room:NAME', 'p', 'EPOCH OFFSET', 'm', envelope}}.   O(entries)
local KEY, GROUP = KEYS[1], 'archive'
local PIECE_MAX = 64
local taken, left, bytes_left, largest = {}, tonumber(ARGV[2]), tonumber(ARGV[3]), 0

-- In pieces, since the size of entries shows only when they are taken: one, and then as many as may fit.
local function next_piece()
  if left <= 0 or #taken > 0 and bytes_left < largest then
    return 0
  end
  return #taken == 0 and 1 or math.min(left, PIECE_MAX, math.max(1, math.floor(bytes_left / math.max(1, largest))))
end

local function keep(entries)
  for _, entry in ipairs(entries) do
    local size = 0
    for _, word in ipairs(entry[2]) do
      size = size + #word
    end
    taken[#taken + 1] = entry
    left, bytes_left, largest = left - 1, bytes_left - size, math.max(largest, size)
  end
end

local function read_new(count)
  return redis.pcall('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', count, 'STREAMS', KEY, '>')
end

if redis.call('EXISTS', KEY) == 0 then
  return {}
end
local from = '0-0'
local found = redis.pcall('XAUTOCLAIM', KEY, GROUP, ARGV[1], ARGV[4], from, 'COUNT', next_piece())
if found.err and found.err:find('NOGROUP', 1, true) then
  redis.call('XGROUP', 'CREATE', KEY, GROUP, '0')
  found = redis.pcall('XAUTOCLAIM', KEY, GROUP, ARGV[1], ARGV[4], from, 'COUNT', next_piece())
end
while true do
  if found.err then
    return found
  end
  keep(found[2])
  from = found[1]
  local piece = next_piece()
  if from == '0-0' or piece == 0 then
    break
  end
  found = redis.pcall('XAUTOCLAIM', KEY, GROUP, ARGV[1], ARGV[4], from, 'COUNT', piece)
end
local piece = next_piece()
while piece > 0 do
  local reply = read_new(piece)
  if reply and reply.err then
    return reply
  end
  local entries = reply and reply[1][2] or {}
  keep(entries)
  piece = #entries < piece and 0 or next_piece()
end
return taken
