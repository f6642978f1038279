-- End a stream: its text becomes one message of the history, or is published as one where no history is kept. The rest of
-- this script is that of publish.lua, which publishes; its KEYS and ARGV come first.
-- KEYS  1 server  2 head  3 log  4 end  5 state  6 text  7 open  8 due
-- ARGV  1 messages to keep; 0: no history is kept  2 seconds to keep them  3 seconds to keep the head
--       4 milliseconds for which a new server grants no leases  5 channel  6 envelope  7 seconds to remember the end
--       8 bytes of the text in the envelope  9 status
--       10 if given, the HTTP hooks are told of the message: how many entries may wait for them in the partition
-- Returns 'EPOCH OFFSET', or '' where no history is kept; or what stands against it: {'unknown'}, {'moved', to} (the text
--         has grown), {'ended', to, status, 'EPOCH OFFSET' or ''}, {'alive', to} (not lost: its producer is heard)
--         O(subscribers + trimmed)
local told_most = ARGV[10]
local stored = redis.call('HMGET', KEYS[5], 'to', 'status', 'life', 'at', 'timeout')
local to = stored[1]
if not (to and stored[3]) then
  return { 'unknown' }
end
if stored[2] then
  return { 'ended', to, stored[2], redis.call('GET', KEYS[4]) or '' }
end
if to ~= ARGV[8] then
  return { 'moved', to }
end
if ARGV[9] == 'lost' then
  local time = redis.call('TIME')
  local silent = time[1] * 1000 + math.floor(time[2] / 1000) - (tonumber(stored[4]) or 0)
  local is_whole = redis.call('STRLEN', KEYS[6]) == tonumber(to) and stored[3] == redis.call('HGET', KEYS[1], 'life')
  if is_whole and silent < (tonumber(stored[5]) or 0) then
    return { 'alive', to }
  end
end
redis.call('HSET', KEYS[5], 'status', ARGV[9])
redis.call('EXPIRE', KEYS[5], ARGV[7])
redis.call('EXPIRE', KEYS[6], ARGV[7])
redis.call('SREM', KEYS[7], KEYS[5]:match('/([^/]*)$'))
redis.call('ZREM', KEYS[8], KEYS[5]:match('}:stream:(.*)$'))
if ARGV[1] == '0' then
  redis.call('PUBLISH', ARGV[5], ARGV[6])
  return ''
end
