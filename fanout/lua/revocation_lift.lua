-- Delete a revocation: what stays of it says so to nodes that state the revocation again.
-- KEYS  1 revocations
-- ARGV  1 ID  2 the record that the node knows, or an empty string  3 seconds for which the deletion is remembered
-- Returns {record, stamp before, stamp after}, or an empty list: there is no such revocation.   O(1)
local now = microseconds()
local before, known = stamp(), latest(ARGV[1], ARGV[2])
if not is_active(known, now) then
  return {}
end
local till = digits(math.floor(now / 1000000) + tonumber(ARGV[3]))
local record = digits(next_change(known, now)) .. '|' .. till .. '|lifted|' .. known.rest
redis.call('HSET', KEY, ARGV[1], record)
raise_version()
return { record, before, stamp() }
