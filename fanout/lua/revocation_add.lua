-- Revoke a token, a user or an agent. If it is revoked already, the later end holds; a repeated call changes nothing.
-- KEYS  1 revocations
-- ARGV  1 ID  2 the record that the node knows, or an empty string  3 until (s)  4 kind  5 value  6 records at most
-- Returns {record, stamp before, stamp after}, or an empty list: there are as many records as there may be.   O(1)
local id, now = ARGV[1], microseconds()
local before, known = stamp(), latest(ARGV[1], ARGV[2])
if is_active(known, now) and known.till >= tonumber(ARGV[3]) and redis.call('HGET', KEY, id) == known.text then
  return { known.text, before, before }
end
-- One field is the version.
if redis.call('HEXISTS', KEY, id) == 0 and redis.call('HLEN', KEY) > tonumber(ARGV[6]) then
  return {}
end
local till, created = ARGV[3], digits(math.floor(now / 1000))
if is_active(known, now) then
  till, created = digits(math.max(known.till, tonumber(till))), known.rest:match('^%d+') or created
end
local head = digits(next_change(known, now)) .. '|' .. till .. '|revoked|' .. created
local record = head .. '|' .. ARGV[4] .. '|' .. ARGV[5]
redis.call('HSET', KEY, id, record)
raise_version()
return { record, before, stamp() }
