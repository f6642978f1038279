-- Append a piece to a stream, and publish it.
-- KEYS  those of stream_common.lua
-- ARGV  1 channel  2 stream's id  3 seal of the piece, if pieces are sealed  4 piece; empty: the producer only asks
--       5 where the piece begins; '': at the end of the text  6 bytes that the text may have
-- Returns {1, to, stop, listeners}: it is part of the text now, or was already; or what stands against it:
--         {'unknown'}, {'ended', to, status}, {'gap', to}, {'other', to} (another text stands there), {'large', to},
--         {'lost', to}   O(piece + subscribers)
--
-- Under another life of the server pieces may be missing at the end of the text. A producer that says where its piece
-- begins shows that none is, or learns from which position on it has to repeat them; any other one has lost the stream.
local stored = redis.call('HMGET', STATE, 'to', 'status', 'life', 'timeout', 'renewed', 'stop')
local to, timeout, renewed = tonumber(stored[1]), tonumber(stored[4]), tonumber(stored[5])
if not (to and timeout and renewed) then
  return { 'unknown' }
end
if stored[2] then
  return { 'ended', to, stored[2] }
end
local life = redis.call('HGET', SERVER, 'life')
local is_new_life = stored[3] ~= life
if is_new_life and (ARGV[5] == '' or not life) or redis.call('STRLEN', TEXT) ~= to then
  return { 'lost', to }
end
local piece, from = ARGV[4], tonumber(ARGV[5]) or to
if from > to then
  return { 'gap', to }
end
local is_new = #piece > 0 and from == to
if #piece > 0 and from < to then
  if from + #piece > to or redis.call('GETRANGE', TEXT, from, from + #piece - 1) ~= piece then
    return { 'other', to }
  end
elseif to + #piece > tonumber(ARGV[6]) then
  return { 'large', to }
end
if is_new_life then
  redis.call('HSET', STATE, 'life', life)
end
local now = now_ms()
local heard, end_of_text = 0, is_new and to + #piece or to
redis.call('HSET', STATE, 'to', string.format('%.0f', end_of_text), 'at', string.format('%.0f', now))
if is_new then
  redis.call('APPEND', TEXT, piece)
  local said = '\7d' .. ARGV[2] .. ' ' .. string.format('%.0f', to) .. ' ' .. ARGV[3] .. piece
  heard = redis.call('PUBLISH', ARGV[1], said)
end
if now - renewed > timeout / 4 or is_new and to == 0 then
  redis.call('HSET', STATE, 'renewed', string.format('%.0f', now))
  renew(now, timeout)
end
-- Nodes may not have said yet how many listen to a stream that has just begun: each that is subscribed has somebody.
local listeners = count_listeners(now)
if listeners == 0 and not redis.call('HGET', LISTENERS, 'until') then
  listeners = is_new and heard or redis.call('PUBSUB', 'NUMSUB', ARGV[1])[2]
end
return { 1, end_of_text, stored[6] and 1 or 0, listeners }
