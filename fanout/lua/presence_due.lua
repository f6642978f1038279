-- The rooms to be swept in partitions, and their dead processes. Each room is claimed for a second: if the process that
-- has claimed it dies, another one gets it then.
-- KEYS of each: 1 heartbeats  2 due (see presence_common.lua)
-- ARGV  none
-- Returns of each {{room, …}, {incarnation of a dead process, …}}, at most 64 and 16; an error is of this one alone.
-- O(64 log n) each
local ROOMS_AT_ONCE, DEAD_AT_ONCE, CLAIM, LONGEST = 64, 16, 1000, 60000
local SHARED_WORDS, KEYS_OF_EACH, WORDS_OF_EACH = 0, 2, 0

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

return for_each_call(KEYS_OF_EACH, WORDS_OF_EACH, SHARED_WORDS, function(key_at)
  local heartbeats, due = KEYS[key_at + 1], KEYS[key_at + 2]

  -- No node's heartbeat holds for longer than this: one that does was written by something else, or before the clock of
  -- the server was set back. A living node states its own again in time.
  for _, process in ipairs(redis.call('ZRANGEBYSCORE', heartbeats, '(' .. now + LONGEST, '+inf')) do
    redis.call('ZADD', heartbeats, now + LONGEST, process)
  end

  local rooms = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, ROOMS_AT_ONCE)
  for _, room in ipairs(rooms) do
    redis.call('ZADD', due, now + CLAIM, room)
  end
  return { rooms, redis.call('ZRANGEBYSCORE', heartbeats, 0, now, 'LIMIT', 0, DEAD_AT_ONCE) }
end)
