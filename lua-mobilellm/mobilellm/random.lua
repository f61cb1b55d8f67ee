-- Random numbers that are the same on every Lua: the minimal standard generator (Park and Miller 1988), good enough to draw samples.
--
--   local random = require "mobilellm.random"(seed)      seed: a whole number
--   random.number()             from 0 to below 1
--   random.integer(low, high)   a whole number, both ends among them
--   random.chance(share)        true as often as the share says, 0 to 1
--   random.pick(list)           one of its items
--   random.shuffle(list)        in place; returns the list
return function(seed)
  local state = seed % 2147483646 + 1
  local random = {}
  function random.number()
    state = state * 16807 % 2147483647
    return (state - 1) / 2147483646
  end
  function random.integer(low, high) return low + math.floor(random.number() * (high - low + 1)) end
  function random.chance(share) return random.number() < share end
  function random.pick(list) return list[random.integer(1, #list)] end
  function random.shuffle(list)
    for i = #list, 2, -1 do
      local j = random.integer(1, i)
      list[i], list[j] = list[j], list[i]
    end
    return list
  end
  for _ = 1, 8 do random.number() end -- neighbouring seeds part company
  return random
end
