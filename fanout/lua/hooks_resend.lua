-- Let dead letters wait for delivery again, in the order in which they are given.
-- KEYS  1 hooks  2 hooks-lost  3 hooks-dead
-- ARGV  1 entries that may wait; ids of dead letters
-- Returns how many there were.   O(ids)
local sent = 0
for at = 2, #ARGV do
  local entry = redis.call('XRANGE', KEYS[3], ARGV[at], ARGV[at])[1]
  if entry then
    local refused = append_to_backlog(KEYS[1], KEYS[2], tonumber(ARGV[1]), 't', 'again', 'j', entry[2][2])
    if refused then
      return refused
    end
    redis.call('XDEL', KEYS[3], ARGV[at])
    sent = sent + 1
  end
end
return sent
