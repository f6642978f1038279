-- A stream: a text that grows in a channel, written by one producer.
-- KEYS  1 server  2 state  3 text  4 end  5 open  6 due  7 listeners
-- state, a hash:      header   what is known from its beginning, as the node packed it
--                     to       bytes of the text
--                     life     of the server when it began: under another life pieces may be lost
--                     at       when its producer was last heard (ms)
--                     timeout  for how long it may be silent (ms)
--                     renewed  when the keys were last given their time to live (ms)
--                     status   how it has ended; without it the stream is open
--                     stop     1: somebody has asked the producer to stop
-- text, a string:     what was written so far
-- end, a string:      'EPOCH OFFSET' of its message in the history, once it has ended
-- open, a set:        the open streams of the channel
-- due, a sorted set:  of the partition: 'kind:name/ID' → when its producer is looked after (ms)
-- listeners, a hash:  incarnation → 'SESSIONS UNTIL' of a node; sum → of all, until → for how long it holds (ms)
local SERVER, STATE, TEXT, END, OPEN, DUE, LISTENERS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

-- For how long the keys outlive a producer that is given up: nodes look after it, and read the text until then.
local KEEP_MS = 60000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What stands behind 'stream:' in the name of the state.
local function member()
  return STATE:match('}:stream:(.*)$')
end

-- The producer was heard: keep everything until it may be given up, and longer.
local function renew(now, timeout)
  local left = string.format('%.0f', timeout + KEEP_MS)
  redis.call('PEXPIRE', STATE, left)
  redis.call('PEXPIRE', TEXT, left)
  redis.call('SADD', OPEN, STATE:match('/([^/]*)$'))
  redis.call('PEXPIRE', OPEN, left)
  redis.call('ZADD', DUE, string.format('%.0f', now + timeout), member())
end

-- How many sessions listen, cluster-wide, as nodes have said.
local function count_listeners(now)
  local said = redis.call('HMGET', LISTENERS, 'sum', 'until')
  return said[1] and said[2] and tonumber(said[2]) > now and tonumber(said[1]) or 0
end
