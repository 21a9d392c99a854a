-- A lookup that fails for what libunbound remembers, or for what one server of several does, is asked
-- again (src/recheck.c).
local support = require "tests.support"
local system = require "testos"
local lab = support.lab

local function through(...)
  return support.resolver { stub = {}, forward = { ... } }
end

describe("a lookup that is bogus", function()
  before_each(support.reset)
  after_each(support.close)

  it("is asked once more: the server denies an empty non-terminal with NXDOMAIN", function()
    lab:add_zones { { name = "ent.example", text = ([[
@ MX 10 mx.site
mx.site A 192.0.2.43
_25._tcp.mx.site TLSA 3 1 1 %s
]]):format(("ab"):rep(32)) } }
    lab:rule { name = "site.ent.example", action = "denied" }
    lab:rule { name = "_tcp.mx.site.ent.example", action = "denied" }
    for _, options in ipairs { {}, { options = { ["qname-minimisation"] = "no" } } } do
      local plan = assert(support.resolver(options):plan "ent.example")
      assert.equal("dane", plan.hosts[1].tls, tostring(plan.hosts[1].err))
    end
  end)

  it("stays bogus when it is, and counts once", function()
    local resolver = support.resolver()
    support.failed("bogus", resolver:gather_destinations "expired.example")
    assert.is_true(resolver:stats().bogus >= 1)
    local before = resolver:stats()
    local _, err = resolver:gather_ips("mx.expired.example", { network = "ip4" })
    assert.equal("bogus", err.code)
    local after = resolver:stats()
    assert.equal(0, after.secure - before.secure - (after.lookups - before.lookups)
      + (after.bogus - before.bogus)) -- each lookup has one outcome
  end)

  it("is right when the server was wrong for a moment", function()
    for _, action in ipairs { "corrupt", "nodata", "nxdomain", "strip" } do
      local resolver = support.resolver()
      lab:rule { name = "dane.example", type = "MX", action = action, times = 6 }
      local plan = assert(resolver:plan "dane.example")
      assert.same({ action, "dane" }, { action, plan.hosts[1].tls })
      lab:clear()
    end
  end)
end)

describe("of two forwarders, one that strips DNSSEC", function()
  local good, bad

  before_each(function()
    support.reset()
    good = lab:listen("127.0.0.3", { forward = true })
    bad = lab:listen("127.0.0.4", { forward = true })
    lab:rule { address = "127.0.0.4", action = "strip" }
  end)
  after_each(support.close)

  it("makes no name bogus", function()
    for _, both in ipairs { { good, bad }, { bad, good } } do
      local resolver = through(both[1], both[2])
      for n = 1, 25 do
        local name = ("mx%d.hundred.example"):format(n)
        local _, err = resolver:plan(name)
        assert.is_nil(err and err.message)
      end
      assert.equal("dane", assert(resolver:plan "dane.example").hosts[1].tls)
    end
  end)

  it("is named, alone, when the other one does not help", function()
    lab:rule { address = "127.0.0.3", name = "dane.example", type = "MX", action = "corrupt" }
    local err = support.failed("bogus", through(good, bad):plan "dane.example")
    support.contains(err.message, "the forwarder (" .. bad .. ") returns no DNSSEC records")
  end)

  it("is named with the others when all do", function()
    lab:rule { address = "127.0.0.3", action = "strip" }
    local err = support.failed("bogus", through(good, bad):plan "dane.example")
    support.contains(err.message, ("the forwarder (%s, %s) returns no DNSSEC records"):format(good, bad))
  end)
end)

describe("of many forwarders that strip DNSSEC", function()
  before_each(support.reset)
  after_each(support.close)

  it("a few are asked at a time, each in a context of its own", function()
    local addresses = {}
    for n = 1, 12 do addresses[n] = lab:listen("127.0.0." .. 20 + n, { forward = true }) end
    lab:rule { address = "127.0.0.*", action = "strip", delay = 100 }
    local resolver = support.resolver { stub = {}, forward = addresses }
    local idle, peak, err = system.descriptors(), 0, nil
    resolver:plan("dane.example", function(_, e) err = e end)
    while not err do
      resolver:process(0.01)
      peak = math.max(peak, system.descriptors() - idle)
    end
    for _, address in ipairs(addresses) do support.contains(err.message, address) end
    assert.is_true(peak >= 1 and peak <= 5, peak .. " sockets at once") -- it was 12
  end)
end)

describe("keys that cannot be fetched", function()
  before_each(support.reset)
  after_each(support.close)

  it("are servfail with the zone's name, and the policy's finding is a failure", function()
    for _, type in ipairs { "DNSKEY", "DS" } do
      local rule = lab:rule { name = "child.example", type = type, action = "servfail" }
      local resolver = support.resolver()
      local plan, err = resolver:plan "child.example"
      support.failed("servfail", plan, err)
      support.contains(err.message, "the keys of child.example could not be fetched")
      assert.equal("failure", require("nexthop.policy").find("sender", plan, err))
      lab:unrule(rule)
      assert.equal("dane", assert(resolver:plan "child.example").hosts[1].tls) -- at once
    end
  end)
end)

describe("TLSA that are asked for early", function()
  before_each(support.reset)
  after_each(support.close)

  it("save a round trip, and cost no question", function()
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    assert(resolver:plan "implicit.example")
    lab:reset()
    local held = lab:rule { name = "mx1.dane.example", hold = true }
    local found
    resolver:plan("dane.example", function(plan) found = plan end)
    while lab:count("_25._tcp.mx1.dane.example", "TLSA") == 0 do
      resolver:wait(0.01)
    end
    assert.is_nil(found) -- the addresses are still out
    lab:unrule(held)
    lab:release(held)
    assert.is_true(resolver:wait())
    assert.equal("dane", found.hosts[1].tls)
    assert.equal(7, lab:total())
  end)

  it("are not asked for behind an insecure MX", function()
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    assert.equal("may", assert(resolver:plan "insecure.example").hosts[1].tls)
    assert.equal(0, lab:count("*", "TLSA"))
  end)
end)

describe("expired", function()
  before_each(support.reset)
  after_each(support.close)

  it("is said of a plan and of each host that was not done", function()
    lab:rule { name = "mx2.dane.example", action = "silent" }
    local plan = assert(support.resolver():plan("dane.example", { deadline = 0.5 * support.slow }))
    assert.is_true(plan.expired)
    assert.is_nil(plan.hosts[1].err)
    assert.is_true(plan.hosts[2].err.expired)
  end)

  it("is said of an error, and not of a timeout of a lookup", function()
    lab:rule { name = "dane.example", type = "MX", action = "silent" }
    for _, method in ipairs { "plan", "gather_destinations" } do
      local _, err = support.resolver()[method](support.resolver(), "dane.example", { deadline = 0.2 })
      assert.same({ "timeout", true }, { err.code, err.expired })
      local resolver = support.resolver { timeout = 0.2 }
      _, err = resolver[method](resolver, "dane.example")
      assert.same({ "timeout" }, { err.code, err.expired })
    end
  end)

  it("is not said of what was done in time", function()
    assert.is_nil(assert(support.resolver():plan("dane.example", { deadline = 10 })).expired)
  end)
end)
