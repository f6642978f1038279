-- Tell the HTTP hooks of sessions of a process, in order, and remember which are open: should the process be killed,
-- hooks_dead.lua tells of their ends. A session that is remembered already is not told of again.
-- KEYS  1 hooks  2 hooks-lost  3 hooks-open of the process  4 hooks-processes
-- ARGV  1 entries that may wait  2 the process
--       of each: what it is: 'o' has opened, 'c' has closed; in upper case it is told, else only remembered or forgotten
--                its number
--                the event as JSON
-- Returns how many entries were added.   O(sessions)
local HOOKS, LOST, OPEN, PROCESSES = unpack(KEYS)
local most, added = tonumber(ARGV[1]), 0

local function tell(kind, event)
  if append_to_backlog(HOOKS, LOST, most, 't', kind, 'j', event) == nil then
    added = added + 1
  end
end

redis.call('SADD', PROCESSES, ARGV[2])
for at = 3, #ARGV, 3 do
  local what, number, event = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if what == 'O' or what == 'o' then
    if redis.call('HSETNX', OPEN, number, event) == 1 and what == 'O' then
      tell('session_opened', event)
    end
  else
    redis.call('HDEL', OPEN, number)
    if what == 'C' then
      tell('session_closed', event)
    end
  end
end
return added
