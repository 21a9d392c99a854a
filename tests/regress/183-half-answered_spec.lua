-- A name of a list whose host was short of an address, because one lookup had failed for now, was not asked
-- for again.
local cjson = require "cjson"
local program = require "tests.support.program"
local lab

-- The tls and the number of addresses of each host of the one line that is printed, and the status.
local function run()
  local r = program.run({ "--json", "-f", "-" }, { stdin = "d.herd\n" })
  local plan, list = cjson.decode((r.out:match "^([^\n]+)\n$")), {}
  for i, host in ipairs(plan.hosts) do list[i] = ("%s %d"):format(host.tls, #host.ips) end
  return list, r.status
end

describe("nexthop --file asks again for what was answered by half", function()
  local asks = 6 -- times that libunbound asks a forwarder, for one lookup, which answers SERVFAIL

  setup(function()
    lab = require("tests.lab.lab").start { zones = { { name = "herd", text = [[
d 1    MX 10 a
d 1    MX 20 b
a      A 192.0.2.77
a      AAAA 2001:db8::77
b      A 192.0.2.78
]] } } }
    program.lab = lab
  end)
  teardown(function() lab:stop() end)
  before_each(function()
    lab:clear()
    lab:reset()
  end)

  it("for lack of an address, and of a host", function()
    lab:rule { name = "a.herd", type = "AAAA", action = "servfail", times = asks }
    lab:rule { name = "b.herd", action = "servfail", times = 2 * asks }
    assert.same({ { "may 2", "may 1" }, 0 }, { run() })
  end)

  it("and keeps the half where nothing at all is answered then", function()
    lab:rule { name = "a.herd", type = "AAAA", action = "servfail", times = asks }
    lab:rule { name = "d.herd", type = "MX", action = "servfail" }
    lab:rule { name = "d.herd", type = "MX", action = "pass", times = 1 }
    assert.same({ { "may 1", "may 1" }, 0 }, { run() })
  end)
end)
