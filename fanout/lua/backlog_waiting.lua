-- What waits in one partition to be written to the archive, or for the target of the HTTP hooks.
-- KEYS  1 the stream  2 how many had to go   ARGV  none
-- Returns {entries that wait, milliseconds for which the oldest has waited, entries that had to go}   O(1)
local waiting = redis.call('XLEN', KEYS[1])
local lost = redis.call('GET', KEYS[2])
if waiting == 0 then
  return { 0, 0, lost or '0' }
end
local since = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]:match('^(%d+)%-')
local time = redis.call('TIME')
return { waiting, math.max(0, time[1] * 1000 + math.floor(time[2] / 1000) - since), lost or '0' }
