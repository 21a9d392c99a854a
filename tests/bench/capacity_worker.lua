-- A resolver with caches of one size. Commands on standard input, an answer of one line for each:
--
--   LUA tests/bench/capacity_worker.lua ANCHOR-FILE ADDRESS stub|forward CACHE PATTERN
--     ask FIRST LAST     plans of these domains, 100 under way: wall and CPU seconds, right plans,
--                        KiB resident
--     sample COUNT OF    the same for COUNT domains out of so many, each given 0.3 s: what is in the cache,
--                        if no server answers
--
-- CACHE is the option `cache`, or "default". PATTERN makes the name of a domain out of its number.
local nexthop = require "nexthop"
local resident = require "tests.bench.resident"

local anchor, address, kind, cache, pattern = arg[1], arg[2], arg[3], arg[4], arg[5]
local resolver = assert(nexthop.new {
  trust_anchor_file = anchor,
  forward = kind == "forward" and address or nil,
  stub = kind == "stub" and { ["."] = address, ["example."] = address, ["bench.example."] = address } or nil,
  cache = cache ~= "default" and cache or nil,
})

local function is_right(plan)
  if not plan or #plan.hosts ~= 2 then return false end
  for _, host in ipairs(plan.hosts) do
    if host.tls ~= "dane" or #host.ips ~= 2 then return false end
  end
  return true
end

-- Asks for domains that `each` returns until it returns nil; returns how many plans are right.
local function run(each, options)
  local under_way, right = 0, 0
  local function start()
    local index = each()
    if not index then return end
    under_way = under_way + 1
    resolver:plan(pattern:format(index), options, function(plan)
      under_way = under_way - 1
      if is_right(plan) then right = right + 1 end
      start()
    end)
  end
  for _ = 1, 100 do start() end
  while under_way > 0 do resolver:wait() end
  return right
end

local verbs = {}

function verbs.ask(first, last)
  local index = first - 1
  return run(function()
    index = index + 1
    return index <= last and index or nil
  end, {})
end

function verbs.sample(count, of)
  local k = 0
  return run(function()
    k = k + 1
    return k <= count and math.floor((k - 1) * of / count) or nil
  end, { deadline = 0.3 })
end

io.stdout:setvbuf "line"
for line in io.lines() do
  local verb, first, second = line:match "^(%S+) (%d+) (%d+)$"
  if not verb then break end
  local cpu, wall = os.clock(), require("luv").hrtime()
  local right = verbs[verb](tonumber(first), tonumber(second))
  local seconds, used = (require("luv").hrtime() - wall) / 1e9, os.clock() - cpu
  collectgarbage()
  collectgarbage()
  print(("%.6f %.6f %d %d"):format(seconds, used, right, resident()))
end
