-- The tree of the part "waiting": a root, the top-level domain lag, and zones below it, each level with
-- a name server (and an NSD) of its own.
--
--   dN.one.lag     3,000 mail domains with one host, mx.dN.one.lag: A, AAAA, TLSA
--   dN.two.lag     100 with two hosts
--   two.lag        the same at the apex of its zone, where most mail domains are
--   xN.lag         300 zones whose servers are silent for ever, each at an address of its own
local zones = { domains = 3000, pairs = 100, dead = 300 }

zones.servers = { root = "127.255.0.1", lag = "127.255.0.2", zone = "127.255.0.3" }

local function add(lines, ...)
  lines[#lines + 1] = string.format(...)
end

local function one(domains)
  local lines = {}
  for n = 1, domains do
    add(lines, "d%d MX 10 mx.d%d", n, n)
    add(lines, "mx.d%d DANE %d", n, n % 250 + 1)
  end
  return table.concat(lines, "\n") .. "\n"
end

local function two()
  local lines = {}
  for host = 1, 2 do
    add(lines, "@ MX %d mx%d", 10 * host, host)
    add(lines, "mx%d DANE %d", host, host)
  end
  for n = 1, zones.pairs do
    for host = 1, 2 do
      add(lines, "d%d MX %d mx%d.d%d", n, 10 * host, host, n)
      add(lines, "mx%d.d%d DANE %d", host, n, n % 250 + 1)
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- The third part of a placeholder's address says which of the lab's silent networks it is in.
function zones.dead_address(n)
  return math.floor((n - 1) / 250) + 1, (n - 1) % 250 + 1
end

local function lag()
  local lines = {}
  for n = 1, zones.dead do
    add(lines, "x%d NS ns.x%d", n, n)
    add(lines, "ns.x%d A 127.255.%d.%d", n, zones.dead_address(n))
  end
  return table.concat(lines, "\n") .. "\n"
end

-- For lab.start.
function zones.all(domains)
  local servers = zones.servers
  return {
    { name = ".", server = servers.root },
    { name = "lag", server = servers.lag, text = lag() },
    { name = "one.lag", server = servers.zone, text = one(domains or zones.domains) },
    { name = "two.lag", server = servers.zone, text = two() },
  }
end

return zones
