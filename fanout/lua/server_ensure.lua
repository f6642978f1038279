-- Compare the server with the identity in its data, and with what the calling node has seen of it. Called at the
-- beginning of every connection.
-- KEYS  1 server   ARGV  1 milliseconds for which a new server grants no leases  2 when the last life was born and  3
--       the beats that the node has seen  4 which channels are archived and  5 how many messages may wait for that;
--       both missing: the caller does not say  6 '1': what the caller says replaces what others have said
-- Returns {life, milliseconds until it grants leases, when it was born, beats}, and which channels are archived, if the
-- caller has said it.   O(1)
--
-- Where other channels are archived from now on, all epochs end: the next message of each channel finds out.
local life = ensure_life(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
local archive = ARGV[4] and redis.call('HGET', KEYS[1], 'archive')
if ARGV[4] and (not archive or ARGV[6] == '1') then
  redis.call('HSET', KEYS[1], 'archive', ARGV[4], 'archive_max', ARGV[5])
  if (archive or '') ~= ARGV[4] then
    life = renew_life(KEYS[1])
  end
  archive = ARGV[4]
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local stored = redis.call('HMGET', KEYS[1], 'until', 'born', 'beats')
local wait, longest = math.max(0, stored_number(stored[1]) - now), tonumber(ARGV[1])
if longest > 0 and wait > longest then -- the clock of the server was set back
  wait = longest
  redis.call('HSET', KEYS[1], 'until', string.format('%.0f', now + wait))
end
local function digits(text)
  return string.format('%.0f', stored_number(text))
end
return { life, wait, digits(stored[2]), digits(stored[3]), archive or nil }
