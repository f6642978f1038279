-- Publish messages, each with its channel's next offset, in this order: what publish.lua does with each of them.
-- KEYS of each channel: the three of history_common.lua; then the results that are stored for idempotency keys
-- ARGV  1 to 4 are those of publish.lua  5 how many channels there are, and of each its name
--       of each message: 1 which of the channels  2 envelope
--       3 empty, or, with an idempotency key, 'KEY SECONDS TELL': which of KEYS, seconds to remember it; 1: an earlier
--       message is told from a new one
-- Returns of each what publish.lua returns, or an error of this one alone.   O(subscribers + trimmed) each
--
-- What messages of a channel have in common is done once: its head is read, and written in front of them all; the log is
-- trimmed and renewed with the last. So it is for channels whose epoch goes on; in others each message takes the longer
-- way, behind this file.
local LOG_SIZE, LOG_SECONDS, HEAD_SECONDS, CHANNELS = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5])
local FIRST = 5 + CHANNELS
local MESSAGES = (#ARGV - FIRST) / 3
local call, try = redis.call, redis.pcall

-- By channel, whose number is a text here: its epoch (false: each message takes the longer way), its last offset, its
-- last message, why Redis refuses all of its messages, its log. By message: its number, and which earlier message has the
-- same idempotency key.
local epochs, offsets, last, refused, logs = {}, {}, {}, {}, {}
local numbers, repeats, results = {}, {}, {}

local function is_error(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- Of a message with an idempotency key: the key, the seconds and whether to tell.
local function read_memory(how)
  local key, seconds, tell = how:match('^(%d+) (%d+) (%d)$')
  return KEYS[tonumber(key)], seconds, tell == '1'
end

local function is_position(text)
  return text and (text == '1' or text:match('^[%w_-]+ %d+$'))
end

-- Of a message whose idempotency key was seen before, in this call or in an earlier one.
local function answer_repeated(before, tell)
  if type(before) == 'table' then
    before = before.err and before or before[1]
  end
  return tell and not is_error(before) and { before } or before
end

local lives = {}
local function read_head(at)
  local channel, server = tostring(at), KEYS[3 * at - 2]
  lives[server] = lives[server] or try('HGET', server, 'life') or ''
  local life, head = lives[server], try('GET', KEYS[3 * at - 1]) or ''
  epochs[channel], logs[channel] = false, KEYS[3 * at]
  refused[channel] = is_error(life) and life or is_error(head) and head
  if not refused[channel] and life ~= '' and head:sub(1, #life) == life then
    local epoch, digits = head:match('^([%w-]+ )(%d+)$')
    if epoch and tonumber(digits) + MESSAGES < 2 ^ 53 then
      epochs[channel], offsets[channel] = epoch, tonumber(digits)
    end
  end
end

-- Whether the message is the first with its idempotency key. If not, find its result, or the message that will have it.
local memories = {}
local function is_first(at, how)
  local memory, _, tell = read_memory(how)
  if memories[memory] then
    repeats[at] = memories[memory]
    return false
  end
  local before = try('GET', memory)
  if is_error(before) or is_position(before) then
    results[at] = answer_repeated(before, tell)
    return false
  end
  memories[memory] = at
  return true
end

-- Give the messages their numbers.
local function number_messages()
  for at = 1, MESSAGES do
    local word = FIRST + 3 * at
    local channel, how = ARGV[word - 2], ARGV[word]
    if epochs[channel] and (how == '' or is_first(at, how)) then
      local offset = offsets[channel] + 1
      offsets[channel], numbers[at], last[channel] = offset, string.format('%.0f', offset), at
    end
  end
end

-- The head before the log, see publish_epoch_common.lua.
local function write_head(at)
  local channel = tostring(at)
  if last[channel] then
    local head = epochs[channel] .. numbers[last[channel]]
    local reply = try('SET', KEYS[3 * at - 1], head, 'EX', HEAD_SECONDS)
    refused[channel] = is_error(reply) and reply
  end
end

-- Of a message that has no number, or whose channel Redis refuses. Nothing: it takes the longer way.
local function answer_unnumbered(at, channel, how)
  if refused[channel] then
    return refused[channel]
  elseif repeats[at] and results[repeats[at]] then
    local _, _, tell = read_memory(how)
    return answer_repeated(results[repeats[at]], tell)
  end
end

-- Something else has written to the log, or to the head: where the messages of the epoch end is not known any more.
local function end_epoch(channel)
  call('DEL', KEYS[3 * tonumber(channel) - 1], logs[channel])
  epochs[channel] = false
end

-- Publish them behind `done`, until one takes the longer way. Returns that one; nothing, if there is none.
local done = 0
local function publish_known()
  while done < MESSAGES do
    local at = done + 1
    local word = FIRST + 3 * at
    local channel, envelope, how = ARGV[word - 2], ARGV[word - 1], ARGV[word]
    local epoch, number = epochs[channel], numbers[at]
    if results[at] then -- it was found before
    elseif not number or not epoch or refused[channel] then
      results[at] = answer_unnumbered(at, channel, how)
      if not results[at] then
        return at
      end
    else
      local new_head, log, added = epoch .. number, logs[channel], nil
      if last[channel] == at then
        added = try('XADD', log, 'MAXLEN', LOG_SIZE, number .. '-0', 'm', envelope)
      else
        added = try('XADD', log, number .. '-0', 'm', envelope)
      end
      if type(added) == 'string' then
        if last[channel] == at then
          call('EXPIRE', log, LOG_SECONDS)
        end
        if how ~= '' then
          local memory, seconds = read_memory(how)
          call('SET', memory, new_head, 'EX', seconds)
        end
        redis.call('PUBLISH', ARGV[5 + channel], '\3' .. new_head .. ' ' .. envelope)
        results[at] = new_head
      elseif added.err:find('equal or smaller', 1, true) then
        end_epoch(channel)
        return at
      else
        results[at] = added
      end
    end
    done = at
  end
end

local function error_of(result)
  local text = type(result) == 'table' and result.err or result
  return redis.error_reply((text:match('^%u+ ') and '' or 'ERR ') .. text .. ' script: of one message, on @user_script')
end

-- The same, but an error of one message ends that one alone.
local function publish_to_next_odd()
  while true do
    local is_done, odd = pcall(publish_known)
    if is_done then
      return odd
    end
    done = done + 1
    results[done] = error_of(odd)
  end
end

for at = 1, CHANNELS do
  read_head(at)
end
number_messages()
for at = 1, CHANNELS do
  write_head(at)
end
local odd = publish_to_next_odd()
if not odd then
  return results
end
