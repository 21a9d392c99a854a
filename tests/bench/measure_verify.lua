-- Verifications against OpenSSL's own client: CPU for a connection, many at once, many domains on few hosts.
local ca = require "tests.support.ca"
local mail_server = require "tests.support.mail_server"
local shell = require "tests.support.shell"

local zone, network = "verify.example", "127.60"

local function ip(k) return ("%s.%d.%d"):format(network, math.floor(k / 250), k % 250 + 1) end

-- CPU seconds of one handshake of `openssl s_time -new` with a server that speaks TLS from the first byte.
local function s_time(address, port, seconds)
  local said = shell.run(("openssl s_time -new -time %d -connect %s:%d 2>&1; times"):format(seconds, address,
    port))
  local count = tonumber(said:match "(%d+) connections in [%d.]+s")
  local minutes, user, system_minutes, system = said:match "(%d+)m([%d.]+)s (%d+)m([%d.]+)s%s*$"
  return (minutes * 60 + user + system_minutes * 60 + system) / assert(count, said)
end

return function(context)
  local report, workers, lab = context.report, context.workers, context.lab
  local few, many = context.quick and 20 or 200, context.quick and 1000 or 20000
  local leaf = ca.leaf { name = "bench", names = { "bench.example" } }
  local servers = mail_server.start()
  local hosts, lines = {}, {}
  for k = 1, few do
    hosts[k] = servers:host(ip(k), { certificates = { leaf } })
    lines[#lines + 1] = ("h%d A %s\n_25._tcp.h%d TLSA %s"):format(k, ip(k), k, ca.tlsa(leaf, 3, 1, 1))
  end
  for k = 1, many do lines[#lines + 1] = ("v%d MX 10 h%d"):format(k, (k - 1) % few + 1) end
  lab:add_zones { { name = zone, text = table.concat(lines, "\n") .. "\n" } }
  local plain = servers:host(ip(few + 1), { certificates = { leaf }, implicit = true })

  local stubs, result = {}, {}
  for name in pairs(lab:stub()) do stubs[#stubs + 1] = shell.quote(name) end
  for _, lua in ipairs(context.luas) do
    local worker = workers.start(lua, workers.environment(lua) .. lua
      .. (" tests/bench/verify_worker.lua %s %s %s %d %s"):format(lab.anchor_file, lab.nsd_address, zone,
        servers.port, table.concat(stubs, " ")))
    report.title("Verifications, " .. lua)
    local count, ours, openssl = context.quick and 200 or 1000, {}, {}
    for round = 1, context.quick and 2 or 5 do
      openssl[round] = s_time(plain.address, plain.port, 2)
      local found = worker:ask("%d %d %d 0", count, few, 16)
      assert(found[5] == count, "not all were ok")
      ours[round] = found[1] / count
    end
    local cpu, reference = report.summary(ours).median, report.summary(openssl).median
    report.target("CPU of one connection against openssl s_time -new", cpu / reference, "<=", 1.5)
    report.target("verifications a second of CPU", 1 / cpu, ">=", 400, "%.0f")
    local crowd = worker:ask("%d %d %d 0", 500, few, 500)
    report.target("longest process() with 500 under way, ms", crowd[3] * 1e3, "<=", 10, "%.1f")
    crowd = worker:ask("%d %d %d 0", 1000, few, 1000)
    report.target("memory of each of 1,000 at once, KiB", crowd[4] / 1000, "<=", 100, "%.0f")
    servers:forget()
    local shared = worker:ask("%d %d %d 300", many, many, 64)
    local connections = 0
    for _, host in ipairs(hosts) do connections = connections + host:count() end
    report.target(("connections for %d domains on %d hosts"):format(many, few), connections, "=", few, "%d")
    print(("  %d domains in %.1f s, %.1f s of CPU; %d ok"):format(many, shared[2], shared[1], shared[5]))
    result[lua] = { cpu = ours, s_time = openssl, longest = crowd[3], kib = crowd[4] / 1000, shared = shared,
      connections = connections }
    worker:stop()
  end
  servers:stop()
  return result
end
