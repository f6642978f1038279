-- What waits in Redis for something outside of it: for the archive, or for the target of the HTTP hooks.
--
-- Append an entry to a stream. Beyond `most` entries the oldest go, and are counted under `lost`. Returns the error where
-- Redis refuses the entry, else nil.   O(1 + trimmed)
local function append_to_backlog(stream, lost, most, ...)
  local entry = redis.pcall('XADD', stream, '*', ...)
  if type(entry) == 'table' and entry.err:find('WRONGTYPE', 1, true) then -- no node has written it
    redis.call('DEL', stream)
    entry = redis.pcall('XADD', stream, '*', ...)
  end
  if type(entry) == 'table' then
    return entry
  end
  if most and redis.call('XLEN', stream) > most then
    local trimmed = redis.call('XTRIM', stream, 'MAXLEN', most)
    if type(redis.pcall('INCRBY', lost, trimmed)) == 'table' then -- no node has written it either
      redis.call('SET', lost, trimmed)
    end
  end
end
