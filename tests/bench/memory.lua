-- pending METHOD COUNT: resident bytes per lookup of calls that wait. The server never answers, and
--   all but one lookup wait in our own queue (max_pending), so that nothing of libunbound's counts.
-- plans COUNT DOMAINS: KiB of resident memory that so many warm plans add, after the first tenth.
local nexthop = require "nexthop"
local resident_kib = require "tests.bench.resident"

local function resident()
  collectgarbage()
  collectgarbage()
  return resident_kib() * 1024
end

local function new(address, max_pending)
  return assert(nexthop.new {
    stub = { ["."] = address, ["example."] = address }, trust_anchor_file = arg[1],
    max_pending = max_pending,
  })
end

local verbs = {}

function verbs.pending(method, count)
  local resolver = new("127.255.255.53@53", 1)
  local handles, names = {}, {}
  local function callback() end
  for k = 1, count do
    handles[k], names[k] = false, ("d%d.bench.example"):format(k)
  end
  local lookups = resolver:stats().lookups
  local before = resident()
  for k = 1, count do
    handles[k] = resolver[method](resolver, names[k], callback)
  end
  local after = resident()
  assert(#handles == count)
  return (after - before) / (resolver:stats().lookups - lookups)
end

function verbs.plans(count, domains)
  local resolver = new(arg[2], 1000)
  local function run(from, to)
    for k = from, to do
      assert(resolver:plan(("d%d-2.bench.example"):format(k % domains)))
    end
  end
  run(1, count / 10)
  local before = resident()
  run(count / 10 + 1, count)
  return (resident() - before) / 1024
end

io.stdout:setvbuf "line"
for line in io.lines() do
  local verb, first, second = line:match "^(%S+) ?(%S*) ?(%S*)$"
  if verb == "quit" then
    break
  end
  print(verbs[verb](tonumber(first) or first, tonumber(second)))
end
