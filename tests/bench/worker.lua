-- The module, doing what bare.c does: the same arguments, commands and answers.
--
--   LUA tests/bench/worker.lua ANCHOR-FILE ADDRESS ZONE...
--
-- plan, mx (gather_destinations) and new as there; naive is the blocking call, one after the other.
local nexthop = require "nexthop"
local uv = require "luv" -- for its clock

local function now()
  return uv.hrtime() / 1e9
end

local anchor, address = arg[1], arg[2]
local stub = {}
for k = 3, #arg do
  stub[arg[k]] = address
end

local resolver
local function open()
  if resolver then
    resolver:close()
    collectgarbage()
  end
  resolver = assert(nexthop.new {
    stub = stub, trust_anchor_file = anchor,
    options = { ["msg-cache-size"] = "64m", ["rrset-cache-size"] = "128m" },
  })
end

local function name_domains(hosts, first, count)
  local names = {}
  for k = 1, count do
    names[k] = ("d%d-%d.bench.example"):format(first + k - 1, hosts)
  end
  return names
end

-- `count` calls, `under_way` at a time, each next one started from the callback of one before.
local function run(method, names, count, under_way)
  local call, started, done = resolver[method], 0, 0
  local start
  local function callback(result, err)
    if not result then
      error(err, 0)
    end
    done = done + 1
    if started < count then
      start()
    end
  end
  function start()
    started = started + 1
    call(resolver, names[(started - 1) % #names + 1], callback)
  end
  for _ = 1, math.min(under_way, count) do
    start()
  end
  while done < count do
    resolver:wait()
  end
end

local function run_blocking(method, names, count)
  local call = resolver[method]
  for k = 1, count do
    assert(call(resolver, names[(k - 1) % #names + 1]))
  end
end

io.stdout:setvbuf "line"
open()
for line in io.lines() do
  if line == "quit" then
    break
  elseif line == "new" then
    open()
    print "0 0"
  else
    local what, hosts, first, domains, count, under_way =
      line:match "^(%w+) (%d+) (%d+) (%d+) (%d+) (%d+)$"
    local names = name_domains(tonumber(hosts), tonumber(first), tonumber(domains))
    local method = what == "mx" and "gather_destinations" or "plan"
    collectgarbage()
    local cpu, wall = os.clock(), now()
    if what == "naive" then
      run_blocking(method, names, tonumber(count))
    else
      run(method, names, tonumber(count), tonumber(under_way))
    end
    print(("%.9f %.9f"):format(os.clock() - cpu, now() - wall))
  end
end
