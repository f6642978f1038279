-- Remove a session from a room. Idempotent: a number that is not in the room changes nothing.
-- KEYS  the ten of presence_common.lua
-- ARGV  1 room  2 inline_max  3 events_max  4 number  5 ms in which the user may come back before its leave is shown
-- Returns 1 if the session was in the room, else 0.   O(log n), and O(inline_max) for the list in the event
local number, grace = ARGV[4], tonumber(ARGV[5])

local entry = redis.call('HGET', SESSIONS, number)
if not entry then
  return 0
end
local user_id = read_session(entry)
redis.call('HDEL', SESSIONS, number)
if redis.call('EXISTS', SESSIONS) == 0 then
  redis.call('SREM', ON, ROOM)
end
remove_sessions({ [user_id] = 1 }, now + grace)
if grace == 0 and redis.call('ZSCORE', LEAVING, user_id) then
  show_leaves({ user_id }, 1)
end
forget_if_empty()
return 1
