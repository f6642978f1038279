-- Sweep rooms that are due: show leaves whose grace period has ended, publish a pending count. Two processes may run it at
-- once: what one has shown, the other does not find any more.
-- KEYS of each: 1 to 8 of presence_common.lua
-- ARGV  1 inline_max  2 events_max  3 what the hooks are told (presence_told_common.lua)   of each: 1 room  2 key of the seal
-- Returns of each how many leaves it has shown; -1: nothing was done, since the rooms before it had the most events that
-- one call publishes; an error is of this one alone.   O(1,000 log n) each, and O(250 inline_max) for the lists in the events
local LEAVES_AT_ONCE, EVENTS_AT_ONCE = 1000, 250
local REST = 500 -- ms between two sweeps of a room that publish the most events
local SHARED_WORDS, KEYS_OF_EACH, WORDS_OF_EACH = 3, 8, 2
use_told(ARGV[3])
local events = 0

return for_each_room(KEYS_OF_EACH, WORDS_OF_EACH, SHARED_WORDS, function()
  if events >= EVENTS_AT_ONCE then
    return -1
  end
  local due = redis.call('ZRANGEBYSCORE', LEAVING, '-inf', digits(now), 'LIMIT', 0, LEAVES_AT_ONCE)
  local shown, published, left = show_leaves(due, EVENTS_AT_ONCE)
  events = events + published
  if left ~= 0 and has_meta('pending') then
    publish_count()
  end
  if (not left or left == 0) and forget_if_empty() then
    return shown
  end

  redis.call('ZREM', DUE, ROOM)
  local next_leave = redis.call('ZRANGE', LEAVING, 0, 0, 'WITHSCORES')[2]
  if next_leave then
    -- After as many events as are published at once, the room's sockets get a rest.
    sweep_at(math.max(tonumber(next_leave), published == EVENTS_AT_ONCE and now + REST or now))
  end
  if has_meta('pending') then
    sweep_at(read_meta('counted') + COUNT_EVERY)
  end
  return shown
end)
