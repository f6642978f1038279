-- What the HTTP hooks are told of rooms: it waits in the stream `hooks` of the partition (hooks_read.lua). Behind
-- presence_common.lua and backlog_common.lua in the head of the scripts by which users come and go.
--
-- The script that has changed the users decides what is told, in the same step, so each change is told once, whichever
-- node has asked for it, and whether it lives or not. Where Redis refuses an entry the room goes on without it.
--
-- A script that is given the word of TANNOY_HOOK_EVENTS hands it to `use_told`. Without a call nothing is told.
local TOLD_MOST, TELLS_ROOMS, TELLS_USERS

-- '' for nothing, or 'MOST:KINDS': how many entries may wait in a partition, and which are told: r rooms, u users.
local function use_told(word)
  if word ~= '' then
    local most, kinds = word:match('^(%d+):(%a*)$')
    TOLD_MOST = tonumber(most)
    TELLS_ROOMS, TELLS_USERS = kinds:find('r', 1, true), kinds:find('u', 1, true)
  end
end

local function tell(...)
  local base = ROOMS:match('^(.*}:)rooms$')
  append_to_backlog(base .. 'hooks', base .. 'hooks-lost', TOLD_MOST, ...)
end

-- `count`: how many users there are with it.
local function tell_joined(user_id, name, count)
  if TELLS_ROOMS and count == 1 then
    tell('t', 'room_occupied', 'r', ROOM)
  end
  if TELLS_USERS then
    tell('t', 'user_joined', 'r', ROOM, 'u', user_id, 'n', name, 'c', count)
  end
end

-- `count`: how many users there are without it.
local function tell_left(user_id, name, count)
  if TELLS_USERS then
    tell('t', 'user_left', 'r', ROOM, 'u', user_id, 'n', name, 'c', count)
  end
  if TELLS_ROOMS and count == 0 then
    tell('t', 'room_vacated', 'r', ROOM)
  end
end
