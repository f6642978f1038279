-- The users of a room. Changes nothing.
-- KEYS  1 to 8 of presence_common.lua
-- ARGV  1 how many users to list at most (drawn at random if there are more)  2 not used  3 room  4 key of the seal
-- Returns {version, users, sessions, {user, COUNT|SINCE|NAME, …}}.   O(users listed)
use_room(0, 2)
local count = redis.call('HLEN', USERS)
local users = {}
if count <= INLINE_MAX then
  users = redis.call('HGETALL', USERS)
elseif INLINE_MAX > 0 then
  users = redis.call('HRANDFIELD', USERS, INLINE_MAX, 'WITHVALUES')
end
return { version(), count, read_meta('s'), users }
