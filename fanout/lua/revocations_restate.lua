-- State the records that a node knows and Redis has lost. A record that is there and was changed later stays.
-- KEYS  1 revocations   ARGV  1 fields at most: beyond them no record is added; then ID and record of each
-- Returns {stamp before, stamp after}.   O(records)
local before, now, is_changed = stamp(), microseconds(), false
for at = 2, #ARGV, 2 do
  local id, text = ARGV[at], ARGV[at + 1]
  local stored, stated = parsed(redis.call('HGET', KEY, id)), parsed(text)
  local is_later = stated and stated.till * 1000000 > now and (not stored or stated.changed > stored.changed)
  if is_later and (stored or redis.call('HLEN', KEY) < tonumber(ARGV[1])) then
    redis.call('HSET', KEY, id, text)
    is_changed = true
  end
end
if is_changed then
  raise_version()
end
return { before, stamp() }
