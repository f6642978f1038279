-- Remove sessions from rooms. Idempotent: a number that is not in the room changes nothing.
-- KEYS of each: the ten of presence_common.lua
-- ARGV  1 inline_max  2 events_max  3 ms in which a user may come back before its leave is shown
--       4 what the hooks are told (presence_told_common.lua)
--       of each: 1 room  2 key of the seal  3 number  4 its user; empty: the caller does not know
-- Returns of each 1 if the session was in the room, else 0; an error is of this one alone.
-- O(log n), and O(inline_max) for the list in the event, each
local GRACE = tonumber(ARGV[3])
local SHARED_WORDS, KEYS_OF_EACH, WORDS_OF_EACH = 4, 10, 4
use_told(ARGV[4])

return for_each_room(KEYS_OF_EACH, WORDS_OF_EACH, SHARED_WORDS, function(_, at)
  local number, user_id = ARGV[at + 3], ARGV[at + 4]
  if user_id == '' then
    local entry = redis.call('HGET', SESSIONS, number)
    user_id = entry and read_session(entry)
  end
  if redis.call('HDEL', SESSIONS, number) == 0 then
    return 0
  end
  if redis.call('EXISTS', SESSIONS) == 0 then
    redis.call('SREM', ON, ROOM)
  end
  local leaves = remove_sessions({ [user_id] = 1 }, now + GRACE)
  if leaves and GRACE == 0 then
    show_leaves({ user_id }, 1)
  end
  if not leaves or GRACE == 0 then
    forget_if_empty()
  end
  return 1
end)
