-- luacheck: max line length 140
-- What the fuzzers in Lua share: inputs from a seed, and a run that prints it.
--
--   local fuzz = require "tests.fuzz.mutate"
--   fuzz.run("name", function(random) ... error "what was wrong" ... end)
--
-- lua5.4 tests/fuzz/NAME.lua [200 | 60s] [SEED [ROUND]]: so many rounds, or so long; or this round
-- alone. Round N of a seed is always the same, under every Lua. What a round fails over is printed with its seed and number, and
-- the last input that was noted (fuzz.note) is in build/fuzz/NAME-last, if the process itself ends.
local fuzz = {}

-- Park and Miller's generator: in doubles the same everywhere.
local Random = {}
Random.__index = Random

function fuzz.random(seed)
  local self = setmetatable({ state = seed % 2147483646 + 1 }, Random)
  for _ = 1, 10 do self:number(2) end -- near seeds begin alike
  return self
end

--- 1 to n.
function Random:number(n)
  self.state = self.state * 16807 % 2147483647
  return math.floor(self.state / 2147483647 * n) + 1
end

function Random:chance(of) return self:number(of) == 1 end

function Random:pick(list) return list[self:number(#list)] end

function Random:bytes(n)
  local bytes = {}
  for i = 1, n do bytes[i] = string.char(self:number(256) - 1) end
  return table.concat(bytes)
end

local ways = {
  function(random, text, at) -- another byte
    return text:sub(1, at - 1) .. random:bytes(1) .. text:sub(at + 1)
  end,
  function(random, text, at) -- some more
    return text:sub(1, at) .. random:bytes(random:number(4)) .. text:sub(at + 1)
  end,
  function(random, text, at) -- some less
    return text:sub(1, at - 1) .. text:sub(at + random:number(8))
  end,
  function(random, text, at, words) -- a word
    return text:sub(1, at) .. random:pick(words) .. text:sub(at + 1)
  end,
  function(random, text, at, words) -- a word over what is there
    local word = random:pick(words)
    return text:sub(1, at - 1) .. word .. text:sub(at + #word)
  end,
  function(random, text, at) -- a part of it again
    local stop = at + random:number(16)
    return text:sub(1, stop) .. text:sub(at, stop) .. text:sub(stop + 1)
  end,
  function(_, text, at) return text:sub(1, at) end,
  function(random, text, at) -- very long
    return text:sub(1, at) .. text:sub(at, at):rep(10 ^ random:number(4)) .. text:sub(at + 1)
  end,
}

--- The text with a few things changed; `words` are worth trying.
function Random:mutate(text, words)
  for _ = 1, self:number(3) do
    -- very long ones are dear: seldom
    local way = ways[self:number(self:chance(20) and #ways or #ways - 1)]
    text = way(self, text, self:number(#text + 1), words)
  end
  return text
end

--- Keeps this input where it is found if the process should end over it.
function fuzz.note(text)
  local file = io.open(fuzz.last, "wb")
  if file then
    file:write(text)
    file:close()
  end
end

--- Runs rounds, each with a generator of its own, and exits: 1 if one failed.
function fuzz.run(name, round)
  local rounds, seconds = 200, nil
  if arg[1] then
    seconds = tonumber((arg[1]:match "^([%d.]+)s$"))
    rounds = seconds and math.huge or tonumber(arg[1])
  end
  local seed = tonumber(arg[2]) or os.time() % 1000000
  io.stdout:setvbuf "line"
  print(("%s: seed %d"):format(name, seed))
  fuzz.last = ("build/fuzz/%s-last"):format(name)
  local stop, count = seconds and os.time() + seconds, 0
  if arg[3] then
    count = tonumber(arg[3]) - 1
    rounds = count + 1
  end
  while count < rounds and not (stop and os.time() >= stop) do
    count = count + 1
    local ok, err = xpcall(function() round(fuzz.random(seed + count * 7919), count) end,
      debug.traceback)
    if not ok then
      print(("%s: seed %d, round %d: %s"):format(name, seed, count, tostring(err)))
      os.exit(1)
    end
  end
  print(("%s: %d rounds, none failed"):format(name, count))
end

return fuzz
