-- The rest of publish.lua and publish_many.lua: a message in front of which an epoch begins, since the head is missing,
-- invalid, of a former life, or in contradiction to the log; and each message of a channel that is archived.
-- ARGV  1 to 4 are those of publish.lua

-- What is not written to the archive yet, of all channels of the partition: an entry leaves it when it is written.
-- Beyond the bound the oldest go, and are counted. Returns the error where Redis refuses it.
local function append_to_archive(position, envelope)
  local base, channel = HEAD:match('^(.*}:)head:(.*)$')
  local most = tonumber(redis.call('HGET', SERVER, 'archive_max') or '')
  return append_to_backlog(
    base .. 'archive', base .. 'archive-lost', most, 'c', channel, 'p', position, 'm', envelope
  )
end

-- The head first: a script is not rolled back where Redis refuses one of its commands, and a log that is ahead of its
-- head would take no message any more. It has to be the first write of all: Redis refuses no SET for want of memory
-- behind a DEL of the same script.
local function append(envelope)
  local epoch, offset, is_new = position(ARGV[4])
  local number = string.format('%.0f', offset + 1)
  local new_head = epoch .. ' ' .. number
  redis.call('SET', HEAD, new_head, 'EX', ARGV[3])
  if is_new and offset == 0 then
    redis.call('DEL', LOG)
  end
  return redis.pcall('XADD', LOG, 'MAXLEN', ARGV[1], number .. '-0', 'm', envelope), new_head, epoch
end

-- On the channel of HEAD and LOG. Returns 'EPOCH OFFSET', or the error where Redis refuses it.   O(subscribers + trimmed)
local function publish_in_epoch(channel, envelope, memory, memory_seconds)
  local added, new_head, epoch = append(envelope)
  if type(added) == 'table' and added.err:find('equal or smaller', 1, true) then
    redis.call('DEL', HEAD, LOG)
    added, new_head, epoch = append(envelope)
  end
  if type(added) == 'table' then
    return added
  end
  if is_epoch_archived(epoch) then
    local refused = append_to_archive(new_head, envelope)
    if refused then
      return refused
    end
  end
  redis.call('EXPIRE', LOG, ARGV[2])
  if memory then
    redis.call('SET', memory, new_head, 'EX', memory_seconds)
  end
  redis.call('PUBLISH', channel, '\3' .. new_head .. ' ' .. envelope)
  return new_head
end
