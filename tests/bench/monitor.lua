-- nexthop-monitor with many domains: are all checked within their interval, how large does it become, and
-- how long does a scrape take meanwhile?
--
--   lua5.4 tests/bench/monitor.lua [DOMAINS] [HOSTS] [INTERVAL]    1000, 200, 300 s; `make bench-monitor`
--
-- The hosts are scripted mail servers on loopback, the DNS is the lab's. It runs for the time of a retry (a
-- fifth of the interval), in which the first round is made, and then for two intervals.
local ca = require "tests.support.ca"
local monitors = require "tests.support.monitor"
local socket = require "socket"
local support = require "tests.support"
local uv = require "luv"
local verifying = require "tests.support.verifying"

local domains, hosts, interval = tonumber(arg[1] or 1000), tonumber(arg[2] or 200), tonumber(arg[3] or 300)
local retry = interval / 5

local world = verifying.world("vload.example", 83)
local leaf = ca.leaf { name = "load", key = "rsa", names = { "*.vload.example" }, to = 60 }
for i = 1, hosts do
  world:host("h" .. i, { tlsa = { ca.tlsa(leaf, 3, 1, 1), ca.stale(3, 1, 1) },
    server = { certificates = { leaf } } })
end
local list = {}
for i = 1, domains do
  world:records(("d%d MX 10 h%d\n_smtp._tls.d%d TXT \"v=TLSRPTv1; rua=mailto:a@b.example\""):format(i,
    (i - 1) % hosts + 1, i))
  list[i] = ("d%d.vload.example"):format(i)
end
world:start()

local resolver = support.lab:options()
resolver.stub["vload.example."] = support.lab.address
local monitor = monitors.start { domains = list, interval = interval, retry = retry, resolver = resolver,
  connect_port = world.servers.port, helo = "client.test", keys = { "rsa" } }

local function memory()
  for line in io.lines(("/proc/%d/status"):format(monitor.pid)) do
    local value = line:match "^VmRSS:%s*(%d+)"
    if value then return tonumber(value) / 1024 end
  end
end

local times, pages, most = {}, {}, 0
local function timed(path, into)
  local begun = socket.gettime()
  local status, body = monitor:get(path)
  assert(status == 200, status)
  into[#into + 1] = (socket.gettime() - begun) * 1000
  return body
end

local worst = 0
local started = socket.gettime()
local last_look = started
while socket.gettime() - started < retry + 2 * interval do
  socket.sleep(1)
  timed("/metrics", times)
  timed("/", pages)
  most = math.max(most, memory())
  if socket.gettime() - last_look > interval / 10 then
    last_look = socket.gettime()
    for _, domain in ipairs(list) do
      local checked = monitor:report(domain).monitor.checked
      local age = os.time() - (checked or started)
      worst = math.max(worst, age)
    end
  end
  assert(not monitor.status, monitor.said)
end

local function median_and_most(values)
  table.sort(values)
  return values[math.ceil(#values / 2)], values[math.ceil(#values * 0.99)], values[#values]
end

local checks, good, contacts = 0, 0, 0
for _, domain in ipairs(list) do
  local report = monitor:report(domain)
  checks = checks + report.monitor.checks
  good = good + (report.monitor.state == "ok" and 1 or 0)
end
for _, host in pairs(world.hosts) do contacts = contacts + host.listening[1]:count() end
local cpu
do
  local file = assert(io.open(("/proc/%d/stat"):format(monitor.pid)))
  local user, system = file:read("*a"):match "%) %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%d+) (%d+)"
  cpu = (user + system) / 100
  file:close()
end
local took = socket.gettime() - started
print(("%d domains on %d hosts, interval %g s: %d checks in %.0f s (%.1f/s), %d domains good, %d contacts")
  :format(domains, hosts, interval, checks, took, checks / took, good, contacts))
print(("age of the oldest result: %d s"):format(worst))
print(("memory: %.1f MB at most; processor: %.0f %%, %.1f ms a check"):format(most, cpu / took * 100,
  cpu * 1000 / checks))
print(("/metrics: %.1f ms (median), %.1f ms (99 %%), %.1f ms at most"):format(median_and_most(times)))
print(("/:        %.1f ms (median), %.1f ms (99 %%), %.1f ms at most"):format(median_and_most(pages)))
print(monitor.said)
monitor:finish()
world:stop()
uv.run "nowait"
os.exit(0, true)
