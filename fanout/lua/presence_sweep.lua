-- Sweep a room that is due: show leaves whose grace period has ended, publish a pending count. Two processes may run it
-- at once: what one has shown, the other does not find any more.
-- KEYS  1 to 8 of presence_common.lua
-- ARGV  1 room  2 inline_max  3 events_max
-- Returns how many leaves it has shown.   O(1,000 log n), and O(250 inline_max) for the lists in the events
local LEAVES_AT_ONCE, EVENTS_AT_ONCE = 1000, 250
local REST = 500 -- ms between two sweeps that publish the most events

local due = redis.call('ZRANGEBYSCORE', LEAVING, '-inf', digits(now), 'LIMIT', 0, LEAVES_AT_ONCE)
local shown, published = show_leaves(due, EVENTS_AT_ONCE)
if redis.call('HEXISTS', META, 'pending') == 1 then
  publish_count()
end
if forget_if_empty() then
  return shown
end

redis.call('ZREM', DUE, ROOM)
local next_leave = redis.call('ZRANGE', LEAVING, 0, 0, 'WITHSCORES')[2]
if next_leave then
  -- After as many events as are published at once, the room's sockets get a rest.
  sweep_at(math.max(tonumber(next_leave), published == EVENTS_AT_ONCE and now + REST or now))
end
if redis.call('HEXISTS', META, 'pending') == 1 then
  sweep_at(stored_number(META, 'counted') + COUNT_EVERY)
end
return shown
