-- What one process carries: how many domains the caches hold, with how much memory, and plans a second.
--
-- The domains are asked once. Then the name server is stopped, and a sample of them is asked again: what is
-- answered is in the cache. One half of the measure has all domains in one signed zone, the other has each in
-- a signed zone of its own, as on the Internet.
local labs = require "tests.lab.lab"
local unbound = require "tests.bench.unbound"
local zones = require "tests.bench.zones"

local quote = require("tests.support.shell").quote

local SAMPLE = 2000

-- Stops the name servers of the lab, or lets them go on: all processes below it.
local function signal(workers, lab, name)
  local below = [[ps -e -o pid=,ppid= | sort -n | awk '$2 in a || $2 == %d { a[$1] = 1; print $1 }']]
  workers.line(("kill -%s $(" .. below .. "); echo"):format(name, lab.pid))
end

local function start(context, lab, kind, address, cache, pattern)
  local lua = context.luas[1]
  return context.workers.start("capacity", context.workers.environment(lua)
    .. ("exec %s tests/bench/capacity_worker.lua %s %s %s %s %s"):format(
      lua, quote(lab.anchor_file), address, kind, cache, quote(pattern)))
end

-- The domains that a cache of this size holds, of so many that were asked, and the memory.
local function measure(context, lab, cache, pattern, domains)
  local worker = start(context, lab, "stub", lab.nsd_address, cache, pattern)
  local empty = worker:ask("ask 0 0")
  local cold = worker:ask("ask 0 %d", domains - 1)
  assert(cold[3] == domains, ("%d of %d plans are right"):format(cold[3], domains))
  signal(context.workers, lab, "STOP")
  local sample = worker:ask("sample %d %d", math.min(SAMPLE, domains), domains)
  signal(context.workers, lab, "CONT")
  worker:stop()
  local held = math.floor(domains * sample[3] / math.min(SAMPLE, domains))
  return {
    cache = cache, asked = domains, held = held, all = sample[3] >= math.min(SAMPLE, domains),
    mib = cold[4] / 1024, empty_mib = empty[4] / 1024,
    cold_wall = domains / cold[1], cold_cpu = domains / cold[2],
  }
end

local function line(found)
  print(("  %-8s %8d %s%8d %9.1f %9.1f %9.0f"):format(found.cache, found.asked, found.all and ">=" or "  ",
    found.held, found.empty_mib, found.mib, found.cold_wall))
end

local function head(report, title)
  report.title(title)
  print(("  %-8s %8s %10s %9s %9s %9s"):format("cache", "asked", "held", "MiB empty", "MiB full", "plans/s"))
end

-- Signed zones, one for each domain.
local function own_zones(count)
  local list = {}
  for k = 0, count - 1 do
    list[#list + 1] = { name = ("own%d.example"):format(k), text = [[
$TTL 86400
@ MX 10 mx1
@ MX 20 mx2
mx1 A 192.0.2.1
mx1 AAAA 2001:db8::1
mx2 A 192.0.2.2
mx2 AAAA 2001:db8::2
_25._tcp.mx1 TLSA 3 1 1 ${server.spki.sha256}
_25._tcp.mx2 TLSA 3 1 1 ${server.spki.sha256}
]] }
  end
  return list
end

-- Plans a second: from the cache, and through an unbound on this machine that has not been asked before.
local function speed(context, lab, result)
  local report, count = context.report, context.quick and 1000 or 5000
  local pattern = "d%d-2." .. zones.name
  local server, reason = unbound.before_lab(lab.anchor_file, lab.nsd_address)
  if not server then
    print("  not measured: " .. reason)
    return
  end
  local worker = start(context, lab, "forward", server.address, "32m", pattern)
  worker:ask("ask 0 10")
  local cold = worker:ask("ask 100 %d", 99 + count)
  local warm = worker:ask("ask 100 %d", 99 + count)
  assert(cold[3] == count and warm[3] == count)
  worker:stop()
  local second = start(context, lab, "forward", server.address, "32m", pattern)
  second:ask("ask 0 10")
  local near = second:ask("ask 100 %d", 99 + count)
  second:stop()
  server.stop()
  report.title(("Plans a second, 100 under way, %d domains of two hosts, cache 32m"):format(count))
  result.speed = { cold = count / cold[1], near = count / near[1], warm = count / warm[1] }
  local function each(label, sample)
    print(("  %-62s %9.0f  (CPU %6.0f)"):format(label, count / sample[1], count / sample[2]))
  end
  each("cold, and the forwarder is cold, too", cold)
  each("cold, the forwarder has the answers", near)
  each("warm", warm)
end

return function(context)
  local result = { one_zone = {}, own_zones = {} }
  local quick = context.quick
  local total = quick and 3000 or 40000
  local lab = labs.start { zones = { zones.zone(total) } }
  head(context.report, "Domains in the caches, all in one signed zone, two hosts each")
  for _, size in ipairs {
    { "default", 3000 }, { "1m", 1000 }, { "8m", 5000 }, { "32m", 20000 }, { "128m", 40000 },
  } do
    if size[2] <= total then
      local found = measure(context, lab, size[1], "d%d-2." .. zones.name, size[2])
      table.insert(result.one_zone, found)
      line(found)
    end
  end
  speed(context, lab, result)
  lab:stop()

  total = 300
  lab = labs.start { zones = own_zones(total) }
  head(context.report, "The same, each in a signed zone of its own")
  for _, cache in ipairs { "default", "1m" } do
    local found = measure(context, lab, cache, "own%d.example", total)
    table.insert(result.own_zones, found)
    line(found)
  end
  lab:stop()
  return result
end
