-- Publish a message with the channel's next offset, unless one with the same idempotency key was published before.
-- KEYS  the three of history_common.lua  4 the result stored for the idempotency key, if there is a key
-- ARGV  1 messages to keep  2 seconds to keep them  3 seconds to keep the head
--       4 milliseconds for which a new server grants no leases  5 channel  6 envelope
--       7 seconds to remember the idempotency key  8 if '1', an earlier message is told from a new one
--       9 if given, the HTTP hooks are told of it: how many entries may wait for them in the partition
-- Returns 'EPOCH OFFSET'; for a key seen before, that of the earlier message, with ARGV 8 as a list of one.
--       O(subscribers + trimmed)
--
-- The channels that are archived have epochs of another form (history_common.lua), so they take the longer way, as do
-- messages of which the HTTP hooks are told, and all others do not pay for them.
--
-- Lua is half of what a publish costs. So the common case, the next message of an epoch, comes first, and returns in front
-- of the functions that only publish_epoch_common.lua needs.
--
-- For a Redis Cluster redis/script.py replaces `redis.call('PUBLISH'` by SPUBLISH: keep this spelling in all scripts.
local told_most = ARGV[9]
local before = KEYS[4] and redis.call('GET', KEYS[4])
if before and (before == '1' or before:match('^[%w_-]+ %d+$')) then
  return ARGV[8] == '1' and {before} or before
end

local head, life = redis.call('GET', KEYS[2]), redis.call('HGET', KEYS[1], 'life')
if head and life and not told_most and head:sub(1, #life) == life then
  local epoch, digits = head:match('^([%w-]+ )(%d+)$')
  local offset = tonumber(digits)
  if offset and offset < 2 ^ 53 then
    local number = string.format('%.0f', offset + 1)
    local new_head = epoch .. number
    -- The head before the log, see publish_epoch_common.lua.
    redis.call('SET', KEYS[2], new_head, 'EX', ARGV[3])
    local added = redis.pcall('XADD', KEYS[3], 'MAXLEN', ARGV[1], number .. '-0', 'm', ARGV[6])
    if type(added) == 'string' then
      redis.call('EXPIRE', KEYS[3], ARGV[2])
      if KEYS[4] then
        redis.call('SET', KEYS[4], new_head, 'EX', ARGV[7])
      end
      redis.call('PUBLISH', ARGV[5], '\3' .. new_head .. ' ' .. ARGV[6])
      return new_head
    end
    if not added.err:find('equal or smaller', 1, true) then
      return added
    end
    -- Something else has written to the log, or to the head: where the messages of the epoch end is not known any more.
    redis.call('DEL', KEYS[2], KEYS[3])
  end
end
