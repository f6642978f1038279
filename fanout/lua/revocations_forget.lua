-- Forget records whose time is over by the clock of Redis.
-- KEYS  1 revocations   ARGV  1 and all others: an ID
-- Returns {stamp before, stamp after}.   O(IDs)
local before, now = stamp(), microseconds()
for _, id in ipairs(ARGV) do
  local record = parsed(redis.call('HGET', KEY, id))
  if record and record.till * 1000000 <= now then
    redis.call('HDEL', KEY, id)
  end
end
return { before, stamp() }
