-- Chance that is the same everywhere: what the lab does to a question by chance the test that asked it can
-- say beforehand, whatever Lua either runs under.
--
--   chance.of(seed, text)       a number from 0 up to 1, always the same for a seed and a text
--   chance.generator(seed)      random(limit): a whole number from 1 to limit
local chance = {}

local PRIME, FACTOR = 2147483647, 16807 -- the products stay below 2^53

function chance.of(seed, text)
  local state = (seed * 7919 + 12345) % PRIME + 1
  for index = 1, #text do
    state = (state * FACTOR + text:byte(index)) % PRIME
  end
  for _ = 1, 4 do -- the last bytes count as much as the first
    state = (state * FACTOR + 1) % PRIME
  end
  return state / PRIME
end

function chance.generator(seed)
  local state = seed % (PRIME - 1) + 1
  return function(limit)
    state = state * FACTOR % PRIME
    return state % limit + 1
  end
end

return chance
