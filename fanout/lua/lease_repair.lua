-- Compare the leases of an owner with those that a process states it holds: surplus ones are freed, missing ones are
-- reported or added.
-- KEYS  the eight of lease_common.lua
-- ARGV  1 for how long a heartbeat holds, in ms  2 incarnation  3 owner, as it stands in owners  4 max  5 policy
--       6 '1': add missing leases
--       7 the number of the newest lease when this was stated: it says nothing about later ones, and may come late
--       8… lease, generation ('': it is being acquired, leave it alone), info; any number of them
-- Returns  {missing, granted, surplus, policy, count}: stated leases that are not held (and were not added); waiting
--          ones that were granted by this; leases to be closed because there are more than the limit.   O(n)
local incarnation, owner, adding, newest = ARGV[2], ARGV[3], ARGV[6] == '1', tonumber(ARGV[7])
local stated, missing, granted, states_held = {}, {}, {}, false
for at = 8, #ARGV, 3 do
  stated[ARGV[at]] = true
  states_held = states_held or ARGV[at + 1] ~= ''
end

local function is_unstated(lease)
  local process, number = lease:match('^([^|]*)|(%d+)|')
  return process == incarnation and tonumber(number) <= newest and not stated[lease]
end

local function add_or_report_missing(is_settled)
  for at = 8, #ARGV, 3 do
    local lease, generation, info = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    if generation ~= '' and not is_held(lease) then
      if adding then
        describe(lease, info)
        set_state('s|' .. session_of(lease), lease)
        hold(lease, generation)
      elseif is_settled then
        table.insert(missing, lease)
      end
    end
  end
end

local function free_unstated()
  for _, field in ipairs(redis.call('HKEYS', STATE)) do
    local newcomer = field:match('^n|(.*)$')
    if newcomer and is_held(newcomer) then
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
end

-- What was refused half-way may have left the description of a lease that is neither held nor waits.
local function remove_odd_descriptions()
  if infos > held then
    for _, lease in ipairs(redis.call('HKEYS', INFO)) do
      if not is_held(lease) and not read_state('n|' .. lease) then
        forget(lease)
      end
    end
  end
end

return for_each_owner(#ARGV - SHARED_WORDS, function()
  read_owner()
  local max, policy = limit(ARGV[4], ARGV[5])

  -- Until all nodes have stated their leases, none is reported as missing or surplus: the server may have lost its data
  -- without knowing it yet, or have restarted with an old dump.
  local wait_ms = recovering_for()
  local is_settled = wait_ms and wait_ms <= 0

  -- While a process holds a lease, its owner has keys: all of them were lost.
  if states_held and is_settled and redis.call('EXISTS', HELD, INFO, STATE) == 0 then
    forget_owner()
  end
  if lost_for() > 0 then
    adding, is_settled = true, false
  end

  add_or_report_missing(is_settled)
  free_unstated()
  remove_odd_descriptions()
  if next(stated) == nil then
    redis.call('SREM', OWNERS, owner)
  else
    note_owner(owner)
  end
  tidy_up()
  local too_many = is_settled and surplus(max, policy) or {}
  return { missing, granted, too_many, policy, held }
end)[1]
