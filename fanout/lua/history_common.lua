-- What a channel has said, and in which order.
-- KEYS  1 server  2 head  3 log
-- head, a string:  'EPOCH OFFSET' of the last message. The epoch is '<life of the server>-<random>'.
-- log, a stream:   the last messages; the entry of offset n is n-0, its one field holds the envelope.
--
-- An epoch ends with the life of the server: a promoted replica, or a stale dump, may have lost messages, and would give
-- their offsets out again. The new epoch goes on counting where the data ends, so what is left of the log stays readable.
local SERVER, HEAD, LOG = KEYS[1], KEYS[2], KEYS[3]

-- The epoch, the last offset, and whether the epoch begins now. `wait`: see server_common.lua. A head that is none
-- (somebody wrote it by hand) counts as missing, and without a head nobody knows what the log begins with.
local function position(wait)
  local life = redis.call('HGET', SERVER, 'life') or ensure_life(SERVER, wait)
  local epoch, offset = (redis.call('GET', HEAD) or ''):match('^(%S+) (%d+)$')
  if epoch and epoch:sub(1, #life) == life then
    return epoch, tonumber(offset), false
  end
  if not epoch then
    redis.call('DEL', LOG)
  end
  local time = redis.call('TIME')
  return life .. '-' .. redis.sha1hex(HEAD .. time[1] .. '.' .. time[2]):sub(1, 10), tonumber(offset or 0), true
end
