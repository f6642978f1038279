-- The history of a channel: its messages in the order of their offsets. The head of history_read.lua and publish_epoch_common.lua.
-- KEYS  1 server  2 head  3 log
-- head, a string:  'EPOCH OFFSET' of the last message. The epoch is '<life of the server>-<random>'; that of a channel that
--                  is archived is '<life of the server>_<offset before its first message>'.
-- log, a stream:   the last messages; the entry of offset n is n-0, and its one field holds the envelope.
--
-- An epoch ends with the life of the server: a promoted replica, or an old dump, may lack messages, and would assign
-- their offsets again. The new epoch goes on counting where the data ends, so the rest of the log stays readable. In a
-- channel that is archived it begins at Redis' clock in microseconds: above all offsets that the archive has, also where
-- Redis has lost its data, or has forgotten the channel.
local SERVER, HEAD, LOG = KEYS[1], KEYS[2], KEYS[3]

-- Beyond this, Lua does not count exactly. No channel gets there.
local OFFSET_END = 2 ^ 53

local function is_archived()
  local channel = HEAD:match('}:head:(.*)$') or '' -- a probe has other keys
  for pattern in (redis.call('HGET', SERVER, 'archive') or ''):gmatch('[^,]+') do
    local start = pattern:match('^(.*)%*$')
    if channel == pattern or start and channel:sub(1, #start) == start then
      return true
    end
  end
  return false
end

local function is_epoch_archived(epoch)
  return epoch:find('_', 1, true) ~= nil
end

-- Whether nothing was said in the epoch up to this offset.
local function is_start(epoch, offset)
  return offset == 0 or epoch:match('_(%d+)$') == string.format('%.0f', offset)
end

-- The epoch, the last offset, and whether the epoch begins now. `wait`: see server_common.lua. An invalid head counts
-- as missing; without a head the offset is 0. At offset 0 of a new epoch the caller deletes the log: what it holds has no
-- known offsets.
local function position(wait)
  local life = redis.call('HGET', SERVER, 'life') or ensure_life(SERVER, wait)
  local epoch, offset = (redis.call('GET', HEAD) or ''):match('^([%w_-]+) (%d+)$')
  if epoch and tonumber(offset) >= OFFSET_END then
    epoch, offset = nil, nil
  end
  if epoch and epoch:sub(1, #life) == life then
    return epoch, tonumber(offset), false
  end
  local time = redis.call('TIME')
  if is_archived() then
    local start = math.max(tonumber(offset or 0), time[1] * 1000000 + time[2])
    return life .. '_' .. string.format('%.0f', start), start, true
  end
  return life .. '-' .. redis.sha1hex(HEAD .. time[1] .. '.' .. time[2]):sub(1, 10), tonumber(offset or 0), true
end
