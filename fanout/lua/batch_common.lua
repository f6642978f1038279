-- A script that carries out several calls, one after another (fanout/script_batches.py): a script costs more to begin than
-- most calls do inside.

-- Run a function for each call: `keys` and `words` are how many of KEYS and ARGV each has, behind the first `shared` of
-- ARGV. The function is given the positions behind which those of the call are. Returns its results. An error ends its own
-- call alone, and is the result of that one; that of the only call is the error of the script.
local function for_each_call(keys, words, shared, run)
  if #KEYS == keys then
    return { run(0, shared) }
  end
  local results = {}
  for index = 1, #KEYS / keys do
    local is_done, result = pcall(run, (index - 1) * keys, shared + (index - 1) * words)
    if not is_done then
      local text = type(result) == 'table' and result.err or result
      if not text:match('^%u+ ') then
        text = 'ERR ' .. text -- of `error`
      end
      result = redis.error_reply(text .. ' script: of one call, on @user_script')
    end
    results[index] = result
  end
  return results
end
