-- Publish a message with the channel's next offset, unless one with the same idempotency key was published before.
-- KEYS  the three of history_common.lua  4 the key's memory, if there is a key
-- ARGV  1 channel  2 envelope  3 messages to keep  4 seconds to keep them  5 seconds to keep the head
--       6 milliseconds a new server waits  7 seconds to remember the key
-- Returns 'EPOCH OFFSET'; for a key seen before, of the message that was published then.   O(subscribers + trimmed)
local before = KEYS[4] and redis.call('GET', KEYS[4])
if before then
  return before
end

-- `position` in one piece, for every message but the first one of an epoch: half of what this script costs is Lua.
local head, life = redis.call('GET', HEAD), redis.call('HGET', SERVER, 'life')
local epoch, offset
if head and life and head:sub(1, #life) == life then
  local space = head:find(' ', 1, true) or 0
  epoch, offset = head:sub(1, space - 1), tonumber(head:sub(space + 1))
end
if not offset then
  epoch, offset = position(ARGV[6])
end

local number = string.format('%.0f', offset + 1)
local place = epoch .. ' ' .. number
redis.call('XADD', LOG, 'MAXLEN', ARGV[3], number .. '-0', 'm', ARGV[2])
redis.call('EXPIRE', LOG, ARGV[4])
redis.call('SET', HEAD, place, 'EX', ARGV[5])
if KEYS[4] then
  redis.call('SET', KEYS[4], place, 'EX', ARGV[7])
end
redis.call('PUBLISH', ARGV[1], '\3' .. place .. ' ' .. ARGV[2])
return place
