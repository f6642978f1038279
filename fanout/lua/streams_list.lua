-- The open streams of channels.
-- KEYS  open of each (stream_common.lua)   ARGV  none
-- Returns of each a list of ids: of some the keys may have run out.   O(open)
local found = {}
for at, key in ipairs(KEYS) do
  found[at] = redis.call('SMEMBERS', key)
end
return found
