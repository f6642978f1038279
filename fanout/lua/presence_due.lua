-- What there is to do in a partition. Each room that is due is claimed for a second: if the sweeper that has got it
-- dies, another one gets it then.
-- KEYS  1 nodes  2 due (presence_common.lua says what they hold)
-- ARGV  none
-- Returns {{room, …}, {incarnation that is dead, …}}, at most 64 and 16.   O(64 log n)
local NODES, DUE = KEYS[1], KEYS[2]
local ROOMS_AT_ONCE, DEAD_AT_ONCE, CLAIM = 64, 16, 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local rooms = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, ROOMS_AT_ONCE)
for _, room in ipairs(rooms) do
  redis.call('ZADD', DUE, now + CLAIM, room)
end
return { rooms, redis.call('ZRANGEBYSCORE', NODES, '-inf', now, 'LIMIT', 0, DEAD_AT_ONCE) }
