-- The history of a channel: its messages in the order of their offsets. The head of history_read.lua and publish_epoch.lua.
-- KEYS  1 server  2 head  3 log
-- head, a string:  'EPOCH OFFSET' of the last message. The epoch is '<life of the server>-<random>'.
-- log, a stream:   the last messages; the entry of offset n is n-0, and its one field holds the envelope.
--
-- An epoch ends with the life of the server: a promoted replica, or an old dump, may lack messages, and would assign
-- their offsets again. The new epoch goes on counting where the data ends, so the rest of the log stays readable.
local SERVER, HEAD, LOG = KEYS[1], KEYS[2], KEYS[3]

-- Beyond this, Lua does not count exactly. No channel gets there.
local OFFSET_END = 2 ^ 53

-- The epoch, the last offset, and whether the epoch begins now. `wait`: see server_common.lua. An invalid head counts
-- as missing; without a head the offset is 0. At offset 0 of a new epoch the caller deletes the log: what it holds has no
-- known offsets.
local function position(wait)
  local life = redis.call('HGET', SERVER, 'life') or ensure_life(SERVER, wait)
  local epoch, offset = (redis.call('GET', HEAD) or ''):match('^([%w-]+) (%d+)$')
  if epoch and tonumber(offset) >= OFFSET_END then
    epoch, offset = nil, nil
  end
  if epoch and epoch:sub(1, #life) == life then
    return epoch, tonumber(offset), false
  end
  local time = redis.call('TIME')
  return life .. '-' .. redis.sha1hex(HEAD .. time[1] .. '.' .. time[2]):sub(1, 10), tonumber(offset or 0), true
end
