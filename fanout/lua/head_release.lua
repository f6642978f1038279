-- The caller follows a channel no longer. If nothing was said in it, and nobody is subscribed to it, keep its head only
-- for a while: for those who come back with the position that it was.
-- KEYS  1 head   ARGV  1 channel  2 seconds
-- Returns 1 if it is kept only that long from now on, else 0.   O(1)
--
-- For a Redis Cluster redis/script.py replaces `'NUMSUB'`: keep this spelling.
local head = redis.call('GET', KEYS[1]) or ''
if not (head:match(' 0$') or head:match('_(%d+) %1$')) then -- of a channel that is archived (history_common.lua)
  return 0
end
local subscribers = redis.pcall('PUBSUB', 'NUMSUB', ARGV[1])
if type(subscribers[2]) ~= 'number' or subscribers[2] > 0 then -- or Redis does not say
  return 0
end
return redis.call('EXPIRE', KEYS[1], ARGV[2])
