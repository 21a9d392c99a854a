-- As a library libunbound has two TCP connections. When both are in use it closes the older one, whose
-- queries are sent anew, which closes the next: lookups side by side that needed TCP were all servfail.
local support = require "tests.support"
local lab = support.lab

local SERVERS = 200
local NAME = "d%d.insecure.example" -- each has a server of its own

describe("answers over TCP", function()
  before_each(support.reset)
  after_each(support.close)

  local function resolver(tcp)
    local stub = lab:stub()
    for k = 1, SERVERS do
      local address = "127.0.1." .. k
      stub[NAME:format(k) .. "."] = lab:listen(address)
      lab:rule { address = address, proto = "udp", action = "truncate" }
      lab:rule { address = address, proto = "tcp", delay = 200, action = "answer",
        records = { { name = NAME:format(k), type = "A", ttl = 60, rdata = "c0000201" } } }
    end
    return support.resolver { stub = stub, options = tcp and { ["outgoing-num-tcp"] = tcp } }
  end

  -- name of the code -> how often
  local function look_up(r)
    local codes = {}
    for k = 1, SERVERS do
      r:gather_ips(NAME:format(k), { network = "ip4" }, function(result, err)
        local code = err and err.code or result.ips[1]
        codes[code] = (codes[code] or 0) + 1
      end)
    end
    assert(r:wait(20 * support.slow))
    return codes
  end

  it("of many servers side by side all arrive", function()
    assert.same({ ["192.0.2.1"] = SERVERS }, look_up(resolver()))
  end)

  it("take as many connections as the options say", function()
    local codes = look_up(resolver "2")
    assert.is_true((codes.servfail or 0) > 0) -- else the lab does not show what it is for
  end)

  it("of zones and their keys side by side all arrive", function()
    local stub, zones, found = lab:stub(), { "child", "nsec3", "optout", "nsec3iter" }, {}
    lab:rule { proto = "udp", action = "truncate" }
    lab:rule { proto = "tcp", delay = 100 }
    for k, zone in ipairs(zones) do
      stub[zone .. ".example."] = lab:listen("127.0.1." .. k)
    end
    local r = support.resolver { stub = stub }
    for _, zone in ipairs(zones) do
      r:gather_destinations(zone .. ".example", function(result, err)
        local what = err and err.code or result.expanded_next_hop_authentic and "secure" or "insecure"
        found[what] = (found[what] or 0) + 1
      end)
    end
    assert(r:wait(20 * support.slow))
    assert.same({ secure = #zones }, found)
  end)
end)
