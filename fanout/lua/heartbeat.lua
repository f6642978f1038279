-- Record the heartbeat of a node in partitions.
-- KEYS of each: 1 heartbeats  2 server
-- ARGV  1 incarnation  2 milliseconds for which the heartbeat holds
--       of each: 1 when the last life was born and  2 the beats that the node has seen
-- Returns of each
--          {before, alive, life, born, beats, losses}: 'alive', 'expired' or 'unknown', the state of the node until now;
--          how many nodes are alive now; the life of the server ('' if it has lost data); when it was born; its heartbeats
--          so far; how often keys of the partition were found to be lost, so that all nodes have to state what they hold.
--          an error of this one alone
-- O(log nodes) each
--
-- The member '.since' has the negative time (ms) since when this key exists: if the key is deleted, nodes that are not in
-- it yet are not taken for dead (lease_common.lua).
local INCARNATION, HOLDS_MS = ARGV[1], tonumber(ARGV[2])
local SHARED_WORDS, KEYS_OF_EACH, WORDS_OF_EACH = 2, 2, 2
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

return for_each_call(KEYS_OF_EACH, WORDS_OF_EACH, SHARED_WORDS, function(key_at, at)
  local heartbeats, server, seen_born, seen_beats = KEYS[key_at + 1], KEYS[key_at + 2], ARGV[at + 1], ARGV[at + 2]
  local expiry, since = unpack(redis.call('ZMSCORE', heartbeats, INCARNATION, '.since'))
  local before = not expiry and 'unknown' or tonumber(expiry) > now and 'alive' or 'expired'
  redis.call('ZADD', heartbeats, now + HOLDS_MS, INCARNATION)
  if not since then
    redis.call('ZADD', heartbeats, -now, '.since')
  end

  -- The data is older than what the node has seen of it: the life ends, and no lease is granted until the next has begun.
  local stored = redis.call('HMGET', server, 'life', 'born', 'beats', 'losses', 'until')
  local life = is_life(stored[1]) and stored[5] and stored[1]
  local born, losses = string.format('%.0f', stored_number(stored[2])), stored_number(stored[4])
  if life and is_older(stored[2], stored[3], seen_born, seen_beats) then
    end_life(server)
    life = nil
  end
  local alive = redis.call('ZCOUNT', heartbeats, now, '+inf')
  local beats = redis.call('HINCRBY', server, 'beats', 1)
  return { before, alive, life or '', born, beats, losses }
end)
