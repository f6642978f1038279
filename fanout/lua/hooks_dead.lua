-- Tell the HTTP hooks that sessions of a dead process have ended, 500 at a time. Two nodes may run it at once: what one
-- has told, the other does not find any more.
-- KEYS  1 hooks  2 hooks-lost  3 hooks-open of the process  4 hooks-processes  5 heartbeats
-- ARGV  1 entries that may wait  2 the process  3 '1': it is told; else its sessions are only forgotten
-- Returns how many of its sessions are left; -1 if the process is alive.   O(500)
local HOOKS, LOST, OPEN, PROCESSES, HEARTBEATS = unpack(KEYS)
local AT_ONCE = 500

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = tonumber(redis.call('ZSCORE', HEARTBEATS, ARGV[2]) or 0)
if expiry > now then
  return -1
end
local piece = redis.call('HRANDFIELD', OPEN, AT_ONCE, 'WITHVALUES')
for at = 1, #piece, 2 do
  if ARGV[3] == '1' then
    append_to_backlog(HOOKS, LOST, tonumber(ARGV[1]), 't', 'session_lost', 'j', piece[at + 1])
  end
  redis.call('HDEL', OPEN, piece[at])
end
local left = redis.call('HLEN', OPEN)
if left == 0 then
  redis.call('SREM', PROCESSES, ARGV[2])
end
return left
