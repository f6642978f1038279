-- Publish a message with the channel's next offset, unless one with the same idempotency key was published before.
-- KEYS  the three of history_common.lua  4 the result stored for the idempotency key, if there is a key
-- ARGV  1 channel  2 envelope  3 messages to keep  4 seconds to keep them  5 seconds to keep the head
--       6 milliseconds for which a new server grants no leases  7 seconds to remember the idempotency key
-- Returns 'EPOCH OFFSET'; for a key seen before, that of the earlier message.   O(subscribers + trimmed)
--
-- For a Redis Cluster redis/script.py replaces `redis.call('PUBLISH'` by SPUBLISH: keep this spelling in all scripts.
local before = KEYS[4] and redis.call('GET', KEYS[4])
if before and (before == '1' or before:match('^[%w-]+ %d+$')) then
  return before
end

-- The common case of `position`, written out: Lua is half of what this script costs.
local head, life = redis.call('GET', HEAD), redis.call('HGET', SERVER, 'life')
local epoch, offset, is_new
if head and life and head:sub(1, #life) == life then
  epoch, offset = head:match('^([%w-]+) (%d+)$')
  offset = tonumber(offset)
end
if not offset or offset >= OFFSET_END then
  epoch, offset, is_new = position(ARGV[6])
end

-- The head first: a script is not rolled back where Redis refuses one of its commands, and a log that is ahead of its
-- head would take no message any more. It has to be the first write of all: Redis refuses no SET for want of memory
-- behind a DEL of the same script.
local number = string.format('%.0f', offset + 1)
local new_head = epoch .. ' ' .. number
redis.call('SET', HEAD, new_head, 'EX', ARGV[5])
if is_new and offset == 0 then
  redis.call('DEL', LOG)
end
local added = redis.pcall('XADD', LOG, 'MAXLEN', ARGV[3], number .. '-0', 'm', ARGV[2])
if type(added) == 'table' and added.err:find('equal or smaller', 1, true) then
  -- Something else has written to the log, or to the head: where the messages of the epoch end is not known any more.
  redis.call('DEL', HEAD, LOG)
  epoch, offset = position(ARGV[6])
  number = string.format('%.0f', offset + 1)
  new_head = epoch .. ' ' .. number
  redis.call('SET', HEAD, new_head, 'EX', ARGV[5])
  added = redis.pcall('XADD', LOG, 'MAXLEN', ARGV[3], number .. '-0', 'm', ARGV[2])
end
if type(added) == 'table' then
  return added
end
redis.call('EXPIRE', LOG, ARGV[4])
if KEYS[4] then
  redis.call('SET', KEYS[4], new_head, 'EX', ARGV[7])
end
redis.call('PUBLISH', ARGV[1], '\3' .. new_head .. ' ' .. ARGV[2])
return new_head
