-- examples/cluster under load, with its faults; prints what examples/cluster/README.md tells. Status 1 when a
-- lookup was lost, answered twice or answered wrongly. Started by tests/cluster/run.
--
--   lua5.4 tests/cluster/main.lua ROOT RATE SECONDS
package.path = "./?.lua;" .. package.path
local load_of = require "tests.cluster.load"
local machines_of = require "tests.cluster.machines"

local root = arg[1]
local rate = tonumber(arg[2]) -- plans a second for each of the two servers
local seconds = tonumber(arg[3]) -- for each phase
local distance = 20 -- milliseconds that each authoritative answer needs

local record = "3 1 1 " .. ("5a"):rep(32)

-- Each domain has a host of its own, so that little is known from another. Of ten, six are owed DANE.
local kinds = {
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\n_25._tcp.m%d TLSA " .. record },
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\nm%d AAAA 2001:db8::1\n_25._tcp.m%d TLSA " .. record },
  { "may", "%d MX 10 m%d\nm%d A 192.0.2.1" },
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\n_25._tcp.m%d TLSA " .. record },
  { "no_mail", "%d MX 0 ." },
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\n_25._tcp.m%d TLSA " .. record },
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\n_25._tcp.m%d TLSA " .. record },
  { "nxdomain", "" },
  { "dane", "%d MX 10 m%d\nm%d A 192.0.2.1\n_25._tcp.m%d TLSA " .. record },
  { "may", "%d MX 10 m%d\nm%d A 192.0.2.1", unsigned = true },
}

-- One of a hundred has a TLSA record whose signature is broken.
local function make_domains(count)
  local domains, signed, unsigned, corrupt = {}, {}, {}, {}
  for number = 1, count do
    local kind = kinds[number % #kinds + 1]
    local text = kind[2]:gsub("%%d", tostring(number))
    table.insert(kind.unsigned and unsigned or signed, text)
    domains[number] = { verdict = kind[1],
      name = ("%d.%s.example"):format(number, kind.unsigned and "uncluster" or "cluster") }
    if number % 100 == 3 then
      corrupt[("_25._tcp.m%d.cluster.example. TLSA"):format(number)] = true
      domains[number].verdict, domains[number].is_forged = "skip bogus", true
    end
  end
  return domains, {
    { name = "cluster.example", text = table.concat(signed, "\n") .. "\n", corrupt = corrupt },
    { name = "uncluster.example", text = table.concat(unsigned, "\n") .. "\n", signed = false },
  }
end

local function at(list, part)
  table.sort(list)
  return list[math.max(1, math.ceil(#list * part))] or 0
end

local function milliseconds(list)
  return ("%7.1f %7.1f %7.0f"):format(at(list, 0.5) * 1000, at(list, 0.99) * 1000, at(list, 1) * 1000)
end

local lab, machines, load
local phases = {}

local function phase(title, during)
  local before = lab:total()
  local result = load:run(seconds, during)
  result.title, result.queries = title, lab:total() - before
  phases[#phases + 1] = result
end

local function run()
  local domains, zones = make_domains(math.ceil(rate * (seconds * 9 + 10)))
  lab = require("tests.lab.lab").start { zones = zones }
  lab:rule { delay = distance }
  machines = machines_of.new(root, lab)
  for _, name in ipairs { "redis", "unbound-1", "unbound-2", "server-1", "server-2" } do
    machines:start(name)
  end
  load = load_of.new({ machines:socket(1), machines:socket(2) }, domains, rate)
  load:run(5) -- the keys of the zones, and a domain for each second asking
  load:finish(20)
  phase "all is up"
  phase("unbound 1 is killed", function() machines:kill "unbound-1" end)
  phase("it is back, empty", function() machines:start "unbound-1" end)
  phase("Redis is killed", function() machines:kill "redis" end)
  phase("Redis is back, empty", function() machines:start "redis" end)
  phase("Redis is silent (stopped)", function() machines:signal("redis", "sigstop") end)
  phase("Redis goes on", function() machines:signal("redis", "sigcont") end)
  phase("both unbounds start anew", function()
    machines:kill "unbound-1"
    machines:kill "unbound-2"
    machines:start "unbound-1"
    machines:start "unbound-2"
  end)
  load:finish(30)
end

local columns = "%-26s %7s   %-24s %-24s %8s   %s"

local function tell()
  local failures = 0
  print(("%d plans a second from each of two servers, %g s a phase; each authoritative answer needs %d ms")
    :format(rate, seconds, distance))
  print(columns:format("", "plans/s", "first asked: p50 p99 max", "then at the other one", "queries",
    "errors"))
  for _, p in ipairs(phases) do
    local answered = (#p.first + #p.second + #p.forged) / p.seconds
    print(columns:format(p.title, ("%.0f"):format(answered), milliseconds(p.first),
      milliseconds(p.second), ("%.2f"):format(p.queries / p.asked),
      ("lost %d, twice %d, wrong %d"):format(p.lost, p.doubled, p.wrong)))
    print(("      forged: %d, %s ms"):format(#p.forged, milliseconds(p.forged)))
    for text, count in pairs(p.others) do print(("      %d times %s"):format(count, text)) end
    failures = failures + p.lost + p.doubled + p.wrong
  end
  print(failures == 0 and "no lookup was lost" or failures .. " lookups were lost or wrong")
  return failures
end

local ok, err = xpcall(run, debug.traceback)
if load then load:close() end
if machines then machines:stop() end
local failures = #phases > 0 and tell() or 1
if lab then lab:stop() end
if not ok then error(err, 0) end
os.exit(failures == 0 and 0 or 1)
