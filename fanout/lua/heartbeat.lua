-- Record the heartbeat of a node.
-- KEYS  1 heartbeats  2 server   ARGV  1 incarnation  2 milliseconds for which the heartbeat holds  3 when the last life
--       was born and  4 the beats that the node has seen
-- Returns  {before, alive, life, born, beats, losses}: 'alive', 'expired' or 'unknown', the state of the node until now;
--          how many nodes are alive now; the life of the server ('' if it has lost data); when it was born; its heartbeats
--          so far; how often keys of the partition were found to be lost, so that all nodes have to state what they hold.
-- O(log nodes)
--
-- The member '.since' has the negative time (ms) since when this key exists: if the key is deleted, nodes that are not in
-- it yet are not taken for dead (lease_common.lua).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[1], ARGV[1])
local before = not expiry and 'unknown' or tonumber(expiry) > now and 'alive' or 'expired'
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('ZADD', KEYS[1], 'NX', -now, '.since')

-- The data is older than what the node has seen of it: the life ends, and no lease is granted until the next has begun.
local stored = redis.call('HMGET', KEYS[2], 'life', 'born', 'beats', 'losses', 'until')
local life = is_life(stored[1]) and stored[5] and stored[1]
local born, losses = string.format('%.0f', stored_number(stored[2])), stored_number(stored[4])
if life and is_older(stored[2], stored[3], ARGV[3], ARGV[4]) then
  end_life(KEYS[2])
  life = nil
end
local alive = redis.call('ZCOUNT', KEYS[1], now, '+inf')
local beats = redis.call('HINCRBY', KEYS[2], 'beats', 1)
return { before, alive, life or '', born, beats, losses }
