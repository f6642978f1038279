-- Keep events that are not delivered any more as dead letters.
-- KEYS  1 hooks-dead  2 hooks-dead-lost
-- ARGV  1 dead letters that are kept; of each: the event as JSON, and why
-- Returns how many were added.   O(events)
local added = 0
for at = 2, #ARGV, 2 do
  local refused = append_to_backlog(KEYS[1], KEYS[2], tonumber(ARGV[1]), 'j', ARGV[at], 'w', ARGV[at + 1])
  if refused then
    return refused
  end
  added = added + 1
end
return added
