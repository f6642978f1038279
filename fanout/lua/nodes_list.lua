-- The descriptions of all living nodes. Deletes those of dead ones.
-- KEYS  1 heartbeats  2 node-info   ARGV none
-- Returns {info, …} (JSON).   O(nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local infos, stored = {}, redis.call('HGETALL', KEYS[2])
for at = 1, #stored, 2 do
  local expiry = redis.call('ZSCORE', KEYS[1], stored[at])
  if expiry and tonumber(expiry) > now then
    table.insert(infos, stored[at + 1])
  else
    redis.call('HDEL', KEYS[2], stored[at])
  end
end
return infos
