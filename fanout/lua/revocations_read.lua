-- All records, if they are others than the node knows.
-- KEYS  1 revocations   ARGV  1 the stamp that the node knows  2 fields at most: of more it gets as many, at random
-- Returns {stamp}: the node knows them, or {stamp, {field, value, …}}.   O(1), or O(fields)
local now_there = stamp()
if now_there == ARGV[1] then
  return { now_there }
end
if redis.call('HLEN', KEY) > tonumber(ARGV[2]) then
  return { now_there, redis.call('HRANDFIELD', KEY, ARGV[2], 'WITHVALUES') }
end
return { now_there, redis.call('HGETALL', KEY) }
