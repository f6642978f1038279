-- How a stream stands.
-- KEYS  those of stream_common.lua
-- ARGV  1 what of the text: 1 all, 0 nothing
-- Returns {} if there is none of this name, or {header, to, status or '', stop, listeners, text,
--         'EPOCH OFFSET' or '', 0}; at the end 1: not all of its text is there; 2: pieces may be missing, since the server
--         has another life.   O(text)
local stored = redis.call('HMGET', STATE, 'header', 'to', 'status', 'stop', 'life')
if not (stored[1] and tonumber(stored[2]) and stored[5]) then
  return {}
end
local doubt = 0
if redis.call('STRLEN', TEXT) ~= tonumber(stored[2]) then
  doubt = 1
elseif not stored[3] and stored[5] ~= redis.call('HGET', SERVER, 'life') then
  doubt = 2
end
local text = ARGV[1] == '1' and redis.call('GET', TEXT) or ''
local ended = redis.call('GET', END) or ''
local listeners, stop = count_listeners(now_ms()), stored[4] and 1 or 0
return { stored[1], stored[2], stored[3] or '', stop, listeners, text, ended, doubt }
