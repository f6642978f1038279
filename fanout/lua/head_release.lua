-- The caller follows channels no longer. Of those in which nothing was said, and to which nobody is subscribed, keep the
-- heads only for a while: for those who come back with the position that it was.
-- KEYS of each: 1 head   ARGV  1 seconds   of each: 1 channel
-- Returns of each 1 if it is kept only that long from now on, else 0.   O(1) each
--
-- For a Redis Cluster redis/script.py replaces `'NUMSUB'`: keep this spelling.
local released, silent, channels = {}, {}, {}
for at, head in ipairs(redis.call('MGET', unpack(KEYS))) do
  released[at] = 0
  if head and (head:match(' 0$') or head:match('_(%d+) %1$')) then -- of a channel that is archived (history_common.lua)
    silent[#silent + 1], channels[#channels + 1] = at, ARGV[at + 1]
  end
end
if #silent > 0 then
  local subscribers = redis.pcall('PUBSUB', 'NUMSUB', unpack(channels))
  for index, at in ipairs(silent) do
    if subscribers[2 * index] == 0 then -- and not an error, where Redis does not say
      released[at] = redis.call('EXPIRE', KEYS[at], ARGV[1])
    end
  end
end
return released
