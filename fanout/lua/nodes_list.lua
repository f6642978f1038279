-- The nodes that live, and what they tell about themselves. Forgets the dead.
-- KEYS  1 nodes  2 node-info   ARGV none
-- Returns {info, …} (JSON).   O(nodes)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local infos, told = {}, redis.call('HGETALL', KEYS[2])
for at = 1, #told, 2 do
  local expiry = redis.call('ZSCORE', KEYS[1], told[at])
  if expiry and tonumber(expiry) > now then
    table.insert(infos, told[at + 1])
  else
    redis.call('HDEL', KEYS[2], told[at])
  end
end
return infos
