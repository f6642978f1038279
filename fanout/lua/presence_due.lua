-- The rooms to be swept in a partition, and its dead processes. Each room is claimed for a second: if the process that
-- has claimed it dies, another one gets it then.
-- KEYS  1 heartbeats  2 due (see presence_common.lua)
-- ARGV  none
-- Returns {{room, …}, {incarnation of a dead process, …}}, at most 64 and 16.   O(64 log n)
local HEARTBEATS, DUE = KEYS[1], KEYS[2]
local ROOMS_AT_ONCE, DEAD_AT_ONCE, CLAIM, LONGEST = 64, 16, 1000, 60000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- No node's heartbeat holds for longer than this: one that does was written by something else, or before the clock of
-- the server was set back. A living node states its own again in time.
for _, process in ipairs(redis.call('ZRANGEBYSCORE', HEARTBEATS, '(' .. now + LONGEST, '+inf')) do
  redis.call('ZADD', HEARTBEATS, now + LONGEST, process)
end

local rooms = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ROOMS_AT_ONCE)
for _, room in ipairs(rooms) do
  redis.call('ZADD', DUE, now + CLAIM, room)
end
return { rooms, redis.call('ZRANGEBYSCORE', HEARTBEATS, 0, now, 'LIMIT', 0, DEAD_AT_ONCE) }
