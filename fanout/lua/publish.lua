-- Publish a message with the channel's next offset, unless one with the same idempotency key was published before.
-- KEYS  the three of history_common.lua  4 the result stored for the idempotency key, if there is a key
-- ARGV  1 channel  2 envelope  3 messages to keep  4 seconds to keep them  5 seconds to keep the head
--       6 milliseconds for which a new server grants no leases  7 seconds to remember the idempotency key
-- Returns 'EPOCH OFFSET'; for a key seen before, that of the earlier message.   O(subscribers + trimmed)
--
-- For a Redis Cluster redis/script.py replaces `redis.call('PUBLISH'` by SPUBLISH: keep this spelling in all scripts.
local before = KEYS[4] and redis.call('GET', KEYS[4])
if before then
  return before
end

-- The common case of `position`, written out: Lua is half of what this script costs.
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
local new_head = epoch .. ' ' .. number
-- The head first: a script is not rolled back where Redis refuses one of its commands, and a log that is ahead of its
-- head would take no message any more.
redis.call('SET', HEAD, new_head, 'EX', ARGV[5])
redis.call('XADD', LOG, 'MAXLEN', ARGV[3], number .. '-0', 'm', ARGV[2])
redis.call('EXPIRE', LOG, ARGV[4])
if KEYS[4] then
  redis.call('SET', KEYS[4], new_head, 'EX', ARGV[7])
end
redis.call('PUBLISH', ARGV[1], '\3' .. new_head .. ' ' .. ARGV[2])
return new_head
