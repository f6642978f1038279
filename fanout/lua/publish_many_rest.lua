-- The end of publish_many.lua: messages that take the longer way, and those behind them.
-- KEYS, ARGV  those of publish_many.lua
-- Returns of each 'EPOCH OFFSET'.   O(subscribers + trimmed) each
local function publish_odd(at)
  local word = FIRST + 3 * at
  local channel, envelope, how = tonumber(ARGV[word - 2]), ARGV[word - 1], ARGV[word]
  local memory, seconds, tell
  SERVER, HEAD, LOG = KEYS[3 * channel - 2], KEYS[3 * channel - 1], KEYS[3 * channel]
  if how ~= '' then
    memory, seconds, tell = read_memory(how)
    local before = redis.call('GET', memory)
    if is_position(before) then
      return answer_repeated(before, tell)
    end
  end
  return publish_in_epoch(ARGV[5 + channel], envelope, memory, seconds)
end

while odd do
  local is_done, result = pcall(publish_odd, odd)
  results[odd], done = is_done and result or error_of(result), odd
  odd = publish_to_next_odd()
end
return results
