-- The zone of the benchmark: 2,000 domains with two mail hosts each, and a few with 1 to 20.
-- Domain number I with H hosts is dI-H.bench.example, its hosts are mx1 to mxH below it. Every
-- host has A, AAAA and a usable TLSA record. One zone, so that the trust chain is short and the
-- same for all, and no wildcard, so that each name has answers and signatures of its own.
local zones = { name = "bench.example", domains = 2000, few = 10, hosts = { 1, 2, 5, 10, 20 } }

function zones.domain(index, hosts)
  return ("d%d-%d.bench.example"):format(index, hosts)
end

-- The zone for lab.add_zones and lab.start.
function zones.zone(domains)
  local lines = { "$TTL 86400" }
  local function add(...)
    lines[#lines + 1] = string.format(...)
  end
  for _, hosts in ipairs(zones.hosts) do
    for index = 0, (hosts == 2 and domains or zones.few) - 1 do
      local domain = ("d%d-%d"):format(index, hosts)
      for host = 1, hosts do
        local name = ("mx%d.%s"):format(host, domain)
        add("%s MX %d %s", domain, 10 * host, name)
        add("%s A 192.0.2.%d", name, index % 250 + 1)
        add("%s AAAA 2001:db8::%x", name, index + 1)
        add("_25._tcp.%s TLSA 3 1 1 ${server.spki.sha256}", name)
      end
    end
  end
  return { name = zones.name, text = table.concat(lines, "\n") .. "\n" }
end

return zones
