-- The module, doing what bare.c does: the same arguments, commands and answers.
--
--   LUA tests/bench/worker.lua ANCHOR-FILE ADDRESS ZONE...
--
-- plan, mx (gather_destinations) and new as there; naive is the blocking call, one after the other.
local commands = require "tests.bench.commands"
local nexthop = require "nexthop"

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

local function wait()
  resolver:wait()
end

local function run_blocking(method, names, count)
  local call = resolver[method]
  for k = 1, count do
    assert(call(resolver, names[(k - 1) % #names + 1]))
  end
end

local function run(method, names, count, under_way)
  local call = resolver[method]
  commands.run(names, count, under_way, function(done)
    local function callback(result, err)
      if not result then error(err, 0) end
      local name = done()
      if name then call(resolver, name, callback) end
    end
    return function(name) call(resolver, name, callback) end
  end, wait)
end

commands.serve(open, function(what, names, count, under_way)
  local method = what == "mx" and "gather_destinations" or "plan"
  if what == "naive" then run_blocking(method, names, count) else run(method, names, count, under_way) end
end)
