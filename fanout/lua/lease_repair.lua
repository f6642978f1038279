-- Compare the leases of an owner with those that a process states it holds: surplus ones are freed, missing ones are
-- reported or added.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 incarnation  2 owner, as it stands in owners  3 max  4 policy  5 '1': add missing leases
--       6 the number of the newest lease when this was stated: it says nothing about later ones, and may come late
--       7… lease, generation ('': it is being acquired, leave it alone), info; any number of them
--       last: for how long a heartbeat holds, in ms
-- Returns  {missing, granted, surplus, policy, count}: stated leases that are not held (and were not added); waiting
--          ones that were granted by this; leases to be closed because there are more than the limit.   O(n)
local incarnation, owner, adding, newest = ARGV[1], ARGV[2], ARGV[5] == '1', tonumber(ARGV[6])
local max, policy = limit(ARGV[3], ARGV[4])

-- Until all nodes have stated their leases, none is reported as missing or surplus: the server may have lost its data
-- without knowing it yet, or have restarted with an old dump.
local wait_ms = recovering_for()
local is_settled = wait_ms and wait_ms <= 0

local stated, missing, granted, states_held = {}, {}, {}, false
for at = 7, #ARGV - 1, 3 do
  stated[ARGV[at]] = true
  states_held = states_held or ARGV[at + 1] ~= ''
end

-- While a process holds a lease, its owner has keys: all of them were lost.
if states_held and is_settled and redis.call('EXISTS', HELD, INFO, STATE) == 0 then
  forget_owner()
end
if lost_for() > 0 then
  adding, is_settled = true, false
end

for at = 7, #ARGV - 1, 3 do
  local lease, generation, info = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if generation ~= '' and not redis.call('ZSCORE', HELD, lease) then
    if adding then
      describe(lease, info)
      redis.call('HSET', STATE, 's|' .. session_of(lease), lease)
      hold(lease, generation)
    elseif is_settled then
      table.insert(missing, lease)
    end
  end
end

local function is_unstated(lease)
  local process, number = lease:match('^([^|]*)|(%d+)|')
  return process == incarnation and tonumber(number) <= newest and not stated[lease]
end

for _, field in ipairs(redis.call('HKEYS', STATE)) do
  local newcomer = field:match('^n|(.*)$')
  if newcomer and redis.call('ZSCORE', HELD, newcomer) then
    cancel_wait(newcomer) -- Redis has refused that when the lease was granted
  elseif newcomer and is_unstated(newcomer) then
    forget(newcomer)
    cancel_wait(newcomer)
  end
end
for _, lease in ipairs(redis.call('ZRANGE', HELD, 0, -1)) do
  if is_unstated(lease) then
    local newcomer = free_lease(lease)
    if newcomer ~= '' then
      table.insert(granted, newcomer)
    end
  end
end

-- What was refused half-way may have left the description of a lease that is neither held nor waits.
if redis.call('HLEN', INFO) > redis.call('ZCARD', HELD) then
  for _, lease in ipairs(redis.call('HKEYS', INFO)) do
    if not redis.call('ZSCORE', HELD, lease) and redis.call('HEXISTS', STATE, 'n|' .. lease) == 0 then
      forget(lease)
    end
  end
end

if next(stated) == nil then
  redis.call('SREM', OWNERS, owner)
else
  note_owner(owner)
end
tidy_up()
return { missing, granted, is_settled and surplus(max, policy) or {}, policy, redis.call('ZCARD', HELD) }
