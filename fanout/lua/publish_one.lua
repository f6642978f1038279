-- The end of publish.lua: a message that takes the longer way.
-- KEYS, ARGV  those of publish.lua
-- Returns 'EPOCH OFFSET'.   O(subscribers + trimmed)
return publish_in_epoch(ARGV[5], ARGV[6], KEYS[4], ARGV[7])
