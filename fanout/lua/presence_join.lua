-- Add sessions to rooms. Idempotent: a repeated call for the same number returns the present state.
-- KEYS of each: the ten of presence_common.lua; of history_common.lua 11 head  12 log
-- ARGV  1 inline_max  2 events_max  3 seconds to keep a new head  4 what the hooks are told (presence_told_common.lua)
--       of each: 1 room  2 key of the seal  3 incarnation  4 number  5 user  6 username
--       7 '1': the session has been in the room before, and Redis has forgotten it
--       8 '1': the caller needs the head of the room's history at the moment of the join
-- Returns of each
--       {version, users, {user, COUNT|SINCE|NAME, …} or nil if there are more than inline_max, 'EPOCH OFFSET' or nil}
--       'fenced'  the heartbeat of the calling process has expired: it can add no sessions
--       'head'    nothing was done, since only history_read.lua can tell the head
--       an error  of this one alone
-- O(log n), and O(inline_max) for the list, each
local HEAD_SECONDS = ARGV[3]
local SHARED_WORDS, KEYS_OF_EACH, WORDS_OF_EACH = 4, 12, 8
use_told(ARGV[4])
local expiries = {}

local function is_alive(incarnation)
  local name = HEARTBEATS .. incarnation
  if not expiries[name] then
    expiries[name] = tonumber(redis.call('ZSCORE', HEARTBEATS, incarnation) or 0)
  end
  return expiries[name] > now
end

-- The head of the room's history, which begins here if there is none. One that no node has written, or that is of another
-- life of the server, is history_read.lua's matter, and so is a new one where channels are archived.
local function find_head(head, log)
  local life, _, archive = unpack(read_server())
  if not life or not life:match('^%x+$') then
    return nil
  end
  local stored
  if archive then
    stored = redis.call('GET', head) or ''
  else
    local new = life .. '-' .. redis.sha1hex(head .. time[1] .. '.' .. time[2]):sub(1, 10) .. ' 0'
    stored = redis.call('SET', head, new, 'EX', HEAD_SECONDS, 'NX', 'GET')
    if not stored then
      redis.call('DEL', log) -- without a head, its offsets say nothing
      return new
    end
  end
  local epoch, offset = stored:match('^([%w_-]+) (%d+)$')
  return epoch and tonumber(offset) < 2 ^ 53 and epoch:sub(1, #life) == life and stored or nil
end

-- The place of a user's entry in a list of users and entries; where the user is not in it, behind the list.
local function place_of(user_id, users)
  for at = 1, #users, 2 do
    if users[at] == user_id then
      return at + 1
    end
  end
  return #users + 2
end

local function add_session(number, user_id, username, is_restated)
  -- The room first: of a process that dies, sessions are looked for in the rooms that are noted.
  redis.call('SADD', ON, ROOM)
  local is_new = redis.call('HSETNX', SESSIONS, number, user_id .. '\n' .. digits(now) .. '|' .. username) == 1
  local users, count = list_users()
  if not is_new then
    return { version(), count, users }
  end
  local place = users and place_of(user_id, users)
  local entry = users and users[place] or not users and redis.call('HGET', USERS, user_id)
  local sessions, since, name = read_user(entry)
  if sessions then
    -- That it began to leave was not published, so neither is that it is back. Its username stays the one shown before.
    if sessions == 0 then
      end_leave(user_id)
    end
    entry = digits(sessions + 1) .. '|' .. since .. '|' .. name
  else
    entry, count = '1|' .. digits(now) .. '|' .. username, count + 1
  end
  set_user(user_id, entry)
  if users and count <= INLINE_MAX then
    users[place - 1], users[place] = user_id, entry
  else
    users = false
  end
  if not sessions and is_restated then
    publish_restated()
  elseif not sessions then
    redis.call('ZADD', ROOMS, count, ROOM)
    publish_change('joined', user_id, username, users, count)
    tell_joined(user_id, username, count)
  end
  count_meta('s', 1)
  return { version(), count, users }
end

return for_each_room(KEYS_OF_EACH, WORDS_OF_EACH, SHARED_WORDS, function(key_at, at)
  if not is_alive(ARGV[at + 3]) then
    return 'fenced'
  end
  local head = false
  if ARGV[at + 8] == '1' then
    head = find_head(KEYS[key_at + 11], KEYS[key_at + 12])
    if not head then
      return 'head'
    end
  end
  local joined = add_session(ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], ARGV[at + 7] == '1')
  joined[4] = head
  return joined
end)
