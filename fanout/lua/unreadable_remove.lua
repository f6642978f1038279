-- Remove what no node has written from keys that a script or a command could not read: a key of another type, a number
-- that is none, a member of another form. A repeated call finds nothing any more.
-- KEYS  any keys of one partition   ARGV  of each key its kind: what stands behind the tag in its name
-- Returns how many values were removed from each key; a whole key counts as one.   O(members)
--
-- What is removed here is missed by the counts that the other scripts keep, so it is found and built again like any key
-- that was lost (lease_common.lua, presence_common.lua).
local TYPES = {
  nodes = 'zset', server = 'hash', ['node-info'] = 'hash',
  owners = 'set', held = 'zset', info = 'hash', state = 'hash', limit = 'hash', limits = 'hash', gone = 'list',
  ['gone-owners'] = 'zset', revocations = 'hash',
  rooms = 'zset', due = 'zset', users = 'hash', leaving = 'zset', presence = 'hash', ['in'] = 'hash', on = 'set',
  head = 'string', log = 'stream', once = 'string', archive = 'stream', ['archive-lost'] = 'string',
  stream = 'hash', ['stream-text'] = 'string', ['stream-end'] = 'string', streams = 'set', ['streams-due'] = 'zset',
  listeners = 'hash',
  hooks = 'stream', ['hooks-lost'] = 'string', ['hooks-dead'] = 'stream', ['hooks-dead-lost'] = 'string',
  ['hooks-leader'] = 'string', ['hooks-open'] = 'hash', ['hooks-processes'] = 'set',
}

local function is_number(text)
  local number = text:match('^%-?%d+$') and tonumber(text)
  return number and math.abs(number) < 2 ^ 53
end

local function is_lease(text)
  return text:match('^[!-{}~]+|%d+|[!-~]+$') ~= nil
end

local function is_server_field(field, value)
  if field == 'life' then
    return value:match('^%x+$') ~= nil
  end
  return field == 'id' or field == 'archive' or is_number(value)
end

local function is_state_field(field, value)
  local kind, rest = field:sub(1, 2), field:sub(3)
  if kind == 's|' then
    return is_lease(value)
  elseif kind == 'n|' or kind == 'v|' then
    return is_lease(rest) and is_lease(value)
  end
  return is_number(value)
end

local function is_user(_, value)
  local count, since = value:match('^(%d+)|(%d+)|')
  return count and #count <= 9 and #since <= 14
end

local function is_session(field, value)
  return field:match('^%d+$') and value:match('^[^\n]*\n%d+|') ~= nil
end

local FIELDS = { server = is_server_field, users = is_user, ['in'] = is_session }
local WHOLE = { state = is_state_field, presence = function(_, value) return is_number(value) end }

local function odd_fields(key, is_right)
  local odd, all = {}, redis.call('HGETALL', key)
  for at = 1, #all, 2 do
    if not is_right(all[at], all[at + 1]) then
      odd[#odd + 1] = all[at]
    end
  end
  return odd
end

local function has_odd_member(key)
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if not is_lease(member) then
      return true
    end
  end
  return false
end

local function remove(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == 'none' or not TYPES[kind] then
    return 0
  end
  if found ~= TYPES[kind] then
    return redis.call('DEL', key)
  end
  if FIELDS[kind] then
    local odd = odd_fields(key, FIELDS[kind])
    for _, field in ipairs(odd) do
      redis.call('HDEL', key, field)
    end
    return #odd
  end
  -- Fields of these rest on each other: what is left would not say anything.
  if WHOLE[kind] and #odd_fields(key, WHOLE[kind]) > 0 or kind == 'held' and has_odd_member(key) then
    return redis.call('DEL', key)
  end
  return 0
end

local removed = {}
for at, key in ipairs(KEYS) do
  removed[at] = remove(key, ARGV[at])
end
return removed
