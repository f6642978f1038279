-- The end of publish.lua and stream_end.lua: a message that takes the longer way.
-- KEYS, ARGV  those of publish.lua. `told_most`: how many entries may wait for the HTTP hooks, if they are told of it
-- Returns 'EPOCH OFFSET'.   O(subscribers + trimmed)
local published = publish_in_epoch(ARGV[5], ARGV[6], KEYS[4], ARGV[7])
if told_most and type(published) == 'string' then
  -- It is published, whether Redis takes the entry or not.
  local base, channel = HEAD:match('^(.*}:)head:(.*)$')
  append_to_backlog(
    base .. 'hooks', base .. 'hooks-lost', tonumber(told_most),
    't', 'message_published', 'c', channel, 'p', published, 'm', ARGV[6]
  )
end
return published
