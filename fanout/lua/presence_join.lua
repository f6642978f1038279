-- Add a session to a room. Idempotent: a repeated call for the same number returns the present state.
-- KEYS  the ten of presence_common.lua
-- ARGV  1 room  2 inline_max  3 events_max  4 incarnation  5 number  6 user  7 username
--       8 '1': the session has been in the room before, and Redis has forgotten it
-- Returns  {version, users, {user, COUNT|SINCE|NAME, …} or nil if there are more than inline_max}
--          nil   the heartbeat of the calling process has expired: it can add no sessions
-- O(log n), and O(inline_max) for the list
local incarnation, number, user_id, username, is_restated = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1'

local expiry = redis.call('ZSCORE', HEARTBEATS, incarnation)
if not expiry or tonumber(expiry) <= now then
  return false
end

-- The room first: of a process that dies, sessions are looked for in the rooms that are noted.
local is_new_room = redis.call('SADD', ON, ROOM) == 1
local joined
if redis.call('HSETNX', SESSIONS, number, user_id .. '\n' .. digits(now) .. '|' .. username) == 1 then
  local count, since, name = user(user_id)
  if count then
    -- That it began to leave was not published, so neither is that it is back. Its username stays the one shown before.
    end_leave(user_id)
    set_user(user_id, count + 1, since, name)
  else
    set_user(user_id, 1, digits(now), username)
    if is_restated then
      publish_restated()
    else
      joined = changed('joined', user_id, username)
    end
  end
  if is_new_room then
    keep()
  end
  redis.call('HINCRBY', META, 's', 1)
end

return joined or snapshot()
