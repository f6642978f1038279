-- The rest of publish.lua: a message in front of which an epoch begins, since the head is missing, invalid, of a former
-- life, or in contradiction to the log.
-- KEYS, ARGV  those of publish.lua
-- Returns 'EPOCH OFFSET'.   O(subscribers + trimmed)
local epoch, offset, is_new = position(ARGV[6])

-- The head first: a script is not rolled back where Redis refuses one of its commands, and a log that is ahead of its
-- head would take no message any more. It has to be the first write of all: Redis refuses no SET for want of memory
-- behind a DEL of the same script.
local function append()
  local number = string.format('%.0f', offset + 1)
  local new_head = epoch .. ' ' .. number
  redis.call('SET', HEAD, new_head, 'EX', ARGV[5])
  if is_new and offset == 0 then
    redis.call('DEL', LOG)
  end
  return redis.pcall('XADD', LOG, 'MAXLEN', ARGV[3], number .. '-0', 'm', ARGV[2]), new_head
end

local added, new_head = append()
if type(added) == 'table' and added.err:find('equal or smaller', 1, true) then
  redis.call('DEL', HEAD, LOG)
  epoch, offset, is_new = position(ARGV[6])
  added, new_head = append()
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
