-- The order of gather_ips after earlier attempts, as in mox: the family that was not tried last goes
-- first; when the last family was tried exactly once, that same address is first within its family.
local support = require "tests.support"

-- pair.example has 2001:db8::1a, ::1b, 192.0.2.26 and .27; only the order within a family, the
-- answer's, is not ours to tell. (libunbound turns it by one each second.)
local six, four

local function order(host, dialed, options)
  local resolver = support.resolver { options = { ["rrset-roundrobin"] = "no" } }
  options = options or {}
  options.dialed_ips = dialed
  local result = assert(resolver:gather_ips(host, options))
  return result.ips
end

describe("gather_ips after earlier attempts", function()
  before_each(support.reset)
  after_each(support.close)

  before_each(function()
    local ips = order("pair.example")
    six, four = { ips[1], ips[2] }, { ips[3], ips[4] }
    assert.same({ ["2001:db8::1a"] = true, ["2001:db8::1b"] = true },
      { [six[1]] = true, [six[2]] = true })
    assert.same({ ["192.0.2.26"] = true, ["192.0.2.27"] = true },
      { [four[1]] = true, [four[2]] = true })
  end)

  -- Asserts the order: after these attempts, these addresses.
  local function after(attempts, ...)
    assert.same({ ... }, order("pair.example", { ["pair.example"] = attempts }))
  end

  it("is IPv6, then IPv4 without any", function()
    after({}, six[1], six[2], four[1], four[2])
    assert.same({ six[1], six[2], four[1], four[2] }, order("pair.example", {}))
  end)

  it("is the other family first, and the address that was tried once first in its own", function()
    after({ six[1] }, four[1], four[2], six[1], six[2])
    after({ six[2] }, four[1], four[2], six[2], six[1])
    after({ four[1] }, six[1], six[2], four[1], four[2])
    after({ four[2] }, six[1], six[2], four[2], four[1])
  end)

  it("counts the attempts of the last family alone", function()
    after({ six[1], four[2] }, six[1], six[2], four[2], four[1])
    after({ six[1], six[2], six[1], four[2] }, six[1], six[2], four[2], four[1])
    after({ four[1], four[2], six[2] }, four[1], four[2], six[2], six[1])
  end)

  it("takes an IPv4 address as a socket of both families has it for one of IPv4", function()
    after({ "::ffff:" .. four[2] }, six[1], six[2], four[2], four[1])
    after({ "::ffff:" .. four[1], four[2] }, six[1], six[2], four[1], four[2])
  end)

  it("prefers no address of a family that was tried twice", function()
    after({ six[1], six[2] }, four[1], four[2], six[1], six[2])
    after({ six[2], six[2] }, four[1], four[2], six[1], six[2])
    after({ four[1], six[2], four[2] }, six[1], six[2], four[1], four[2])
    after({ six[2], four[1], six[2] }, four[1], four[2], six[1], six[2])
    after({ four[2], four[2], four[2] }, six[1], six[2], four[1], four[2])
  end)

  it("goes by the family of an address that is not there any more", function()
    after({ "2001:db8::dead" }, four[1], four[2], six[1], six[2])
    after({ "198.51.100.1" }, six[1], six[2], four[1], four[2])
    after({ four[2], "198.51.100.1" }, six[1], six[2], four[1], four[2])
  end)

  it("knows an address in another spelling", function()
    local long = six[2]:upper():gsub("::", ":0:0:0:0:0:00")
    assert.is_truthy(long:find("^2001:DB8:0:0:0:0:0:001[AB]$"), long)
    after({ long }, four[1], four[2], six[2], six[1])
  end)

  it("keeps within one family", function()
    local ips = order("pair4.example")
    local dialed = { ["pair4.example"] = { ips[2] } }
    assert.same({ ips[2], ips[1] }, order("pair4.example", dialed))
    dialed["pair4.example"] = { ips[1], ips[2] }
    assert.same({ ips[1], ips[2] }, order("pair4.example", dialed))
    dialed["pair4.example"] = { "2001:db8::1" }
    assert.same({ ips[1], ips[2] }, order("pair4.example", dialed))
    assert.same({ four[2], four[1] },
      order("pair.example", { ["pair.example"] = { four[2] } }, { network = "ip4" }))
    assert.same({ six[1], six[2] },
      order("pair.example", { ["pair.example"] = { four[2] } }, { network = "ip6" }))
  end)

  it("is the host's own, whatever its spelling", function()
    local usual = { six[1], six[2], four[1], four[2] }
    assert.same(usual, order("pair.example", { ["pair4.example"] = { six[2] } }))
    local turned = { four[1], four[2], six[2], six[1] }
    assert.same(turned, order("pair.example", { ["Pair.Example."] = { six[2] } }))
    assert.same(turned, order("PAIR.example.", { ["pair.example"] = { six[2] },
      ["pair4.example"] = { four[2] } }))
  end)

  it("is by the host that was asked for, not by what it is an alias of", function()
    local resolver = support.resolver()
    local function first(dialed)
      return assert(resolver:gather_ips("hostalias.example", { dialed_ips = dialed })).ips[1]
    end
    assert.equal("2001:db8::1", first { ["mx1.dane.example"] = { "2001:db8::1" } })
    assert.equal("192.0.2.1", first { ["hostalias.example"] = { "2001:db8::1" } })
  end)

  it("keeps twenty addresses of a family in the answer's order", function()
    local usual = order("many.example")
    local dialed = { ["many.example"] = { usual[7] } }
    local expected = {}
    for index = 21, 40 do
      expected[#expected + 1] = usual[index]
    end
    expected[#expected + 1] = usual[7]
    for index = 1, 20 do
      if index ~= 7 then
        expected[#expected + 1] = usual[index]
      end
    end
    assert.same(expected, order("many.example", dialed))
    table.insert(dialed["many.example"], usual[7])
    local moved = {}
    for index = 1, 40 do
      moved[index] = usual[(index + 19) % 40 + 1]
    end
    assert.same(moved, order("many.example", dialed))
  end)

  it("changes nothing of a literal", function()
    assert.same({ "192.0.2.1" }, order("192.0.2.1", { ["192.0.2.1"] = { "192.0.2.1" } }))
  end)
end)
