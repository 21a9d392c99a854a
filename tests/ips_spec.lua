-- gather_ips: host -> addresses. The expected values are mox's GatherIPs on the zones of tests/lab,
-- worked out by hand; host_authentic, failed and the flags of each family are ours.
local support = require "tests.support"
local exact = require("tests.support.planning").exact
local lab = support.lab

local function flags(authentic, expanded, host)
  return { authentic = authentic, expanded_authentic = expanded, host_authentic = host }
end

local secure, insecure = flags(true, true, true), flags(false, false, false)

local function check(resolver, host, options, expected)
  local result, err = resolver:gather_ips(host, options)
  assert.is_nil(err, tostring(err))
  support.fields(expected, result)
  return result
end

local function ips(host, options)
  return check(support.resolver(), host, options, {})
end

local function failure(code, host, options)
  local err = support.failed(code, support.resolver():gather_ips(host, options))
  assert.same({}, err.ips)
  assert.is_false(err.dualstack)
  return err
end

-- A resolver whose libunbound gives no server up before our timeout does, and asks for no A of its own.
local function patient(options)
  return exact(support.patient, options)
end

describe("gather_ips", function()
  before_each(support.reset)
  after_each(support.close)

  describe("of a host with addresses", function()
    it("has the whole answer of a secure zone, IPv6 first", function()
      local result = ips("mx1.dane.example")
      support.ttl(300, result.ttl)
      result.ttl = nil
      assert.same({
        authentic = true, expanded_authentic = true, host_authentic = true,
        ip4_authentic = true, ip6_authentic = true, expanded_host = "mx1.dane.example",
        ips = { "2001:db8::1", "192.0.2.1" }, dualstack = true,
      }, result)
    end)

    it("has one family where there is one", function()
      local result = check(support.resolver(), "only4.example", nil,
        { ips = { "192.0.2.20" }, dualstack = false, ip4_authentic = true })
      support.fields(secure, result)
      assert.is_nil(result.ip6_authentic)
      assert.is_nil(result.failed)
      result = check(support.resolver(), "only6.example", nil,
        { ips = { "2001:db8::20" }, dualstack = false, ip6_authentic = true })
      support.fields(secure, result)
      assert.is_nil(result.ip4_authentic)
    end)

    it("has all of them, all of IPv6 before all of IPv4", function()
      local resolver = support.resolver { options = { ["rrset-roundrobin"] = "no" } }
      local result = check(resolver, "many.example", nil, { dualstack = true })
      assert.equal(40, #result.ips)
      local seen = {}
      for index, ip in ipairs(result.ips) do
        local six = tonumber(ip:match("^2001:db8::(%x+)$") or "", 16)
        local four = tonumber(ip:match("^192%.0%.2%.(%d+)$") or "")
        assert.equal(index <= 20, six ~= nil)
        local number = six or four
        assert(number >= 101 and number <= 120)
        seen[number] = (seen[number] or 0) + 1
      end
      for number = 101, 120 do
        assert.equal(2, seen[number])
      end
      check(resolver, "many.example", nil, { ips = result.ips }) -- no shuffle
    end)

    for _, host in ipairs { "mx.insecure.example", "mx.unsigned.optout.example", "mx.plain" } do
      it("is not authentic in the unsigned zone of " .. host, function()
        local result = check(support.resolver(), host, nil, insecure)
        support.fields({ ip4_authentic = false, ip6_authentic = false, expanded_host = host,
          ips = { "2001:db8::28", "192.0.2.40" } }, result)
      end)
    end

    it("is authentic though the denial of the other family proves nothing", function()
      local result = check(support.resolver(), "four.nsec3iter.example", nil, secure)
      support.fields({ ips = { "192.0.2.42" }, ip4_authentic = true }, result)
      check(support.resolver(), "four.optout.example", nil, secure)
      check(support.resolver(), "four.insecure.example", nil, insecure)
    end)

    it("is found through a wildcard", function()
      check(support.resolver(), "any.wildcard.example", nil,
        { ips = { "2001:db8::6", "192.0.2.6" }, expanded_host = "any.wildcard.example" })
    end)

    it("may have an underscore", function()
      check(support.resolver(), "_mx.dane.example", nil,
        { ips = { "2001:db8::5", "192.0.2.5" }, expanded_host = "_mx.dane.example" })
    end)

    it("has the smallest TTL of what it rests on", function()
      support.ttl(60, ips("mx.ttl.example").ttl)
      support.ttl(240, ips("mx.ttl.example", { network = "ip6" }).ttl)
      support.ttl(60, ips("only4.example").ttl) -- the denial of AAAA
      support.ttl(300, ips("only4.example", { network = "ip4" }).ttl)
    end)

    it("asks for A and AAAA once, and nothing else", function()
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      assert(resolver:gather_ips("mx1.dane.example"))
      assert.equal(1, lab:count("mx1.dane.example", "A"))
      assert.equal(1, lab:count("mx1.dane.example", "AAAA"))
      assert.equal(2, lab:count("mx1.dane.example"))
      lab:reset()
      assert(resolver:gather_ips("mx1.dane.example"))
      assert.equal(0, lab:total())
    end)
  end)

  describe("with network", function()
    it("ip4 asks for A alone", function()
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      local result = check(resolver, "mx1.dane.example", { network = "ip4" },
        { ips = { "192.0.2.1" }, dualstack = false, ip4_authentic = true })
      support.fields(secure, result)
      assert.is_nil(result.ip6_authentic)
      assert.equal(0, lab:count("mx1.dane.example", "AAAA"))
      assert.equal(1, lab:count("mx1.dane.example", "A"))
    end)

    it("ip6 asks for AAAA alone", function()
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      check(resolver, "mx1.dane.example", { network = "ip6" },
        { ips = { "2001:db8::1" }, dualstack = false })
      assert.equal(0, lab:count("mx1.dane.example", "A"))
    end)

    it("ip is both", function()
      check(support.resolver(), "mx1.dane.example", { network = "ip" }, { dualstack = true })
    end)

    it("finds nothing in the family that is not there", function()
      support.fields(secure, failure("not_found", "only4.example", { network = "ip6" }))
      failure("not_found", "only6.example", { network = "ip4" })
    end)

    it("does not see the other family's failure", function()
      local result = check(support.resolver(), "bogus4.example", { network = "ip6" },
        { ips = { "2001:db8::15" } })
      assert.is_nil(result.failed)
      local err = failure("bogus", "bogus4.example", { network = "ip4" })
      support.contains(err.message, "A of bogus4.example")
      assert.is_nil(err.failed.ip6)
    end)
  end)

  describe("of a host without addresses", function()
    it("is not_found, with what is authentic of that", function()
      for _, host in ipairs { "noaddress.example", "nothing.example", "nodata.nsec3.example" } do
        local err = failure("not_found", host)
        support.fields(secure, err)
        assert.equal(host, err.expanded_host)
        support.contains(err.message, host .. ": ")
        support.ttl(60, err.ttl)
      end
      support.fields(insecure, failure("not_found", "nothing.insecure.example"))
      support.fields(insecure, failure("not_found", "nothing.optout.example"))
      support.fields(insecure, failure("not_found", "nodata.nsec3iter.example"))
    end)
  end)

  describe("of a host in a bogus zone", function()
    local reasons = {
      wrongds = "DS", expired = "signature expired", broken = "signature", deadds = "DNSKEY",
    }
    for zone, reason in pairs(reasons) do
      it("is refused: " .. zone, function()
        local host = "mx." .. zone .. ".example"
        local err = failure("bogus", host)
        support.fields(insecure, err)
        support.contains(err.message, host .. ": ", " of " .. host, reason)
        assert.equal("bogus", err.failed.ip4.code)
        assert.equal("bogus", err.failed.ip6.code)
      end)
    end
  end)

  describe("when one family fails", function()
    -- The host, its family that works, and the other.
    local function half(resolver, host, good, bad, code)
      local result = check(resolver, host, nil, secure)
      assert.equal(1, #result.ips)
      assert.is_false(result.dualstack)
      assert.is_true(result[good .. "_authentic"])
      assert.is_nil(result[bad .. "_authentic"])
      assert.is_nil(result.failed[good])
      local err = support.failed(code, nil, result.failed[bad])
      support.contains(err.message, host .. ": ", bad == "ip4" and " A of " or " AAAA of ")
      return result
    end

    it("has the other: bogus", function()
      local result = half(support.resolver(), "bogus4.example", "ip6", "ip4", "bogus")
      assert.same({ "2001:db8::15" }, result.ips)
      result = half(support.resolver(), "bogus6.example", "ip4", "ip6", "bogus")
      assert.same({ "192.0.2.22" }, result.ips)
    end)

    for _, action in ipairs { "servfail", "refused", "notimp" } do
      it("has the other: " .. action, function()
        lab:rule { name = "mx1.dane.example", type = "AAAA", action = action }
        local result = half(support.resolver(), "mx1.dane.example", "ip4", "ip6", "servfail")
        assert.same({ "192.0.2.1" }, result.ips)
      end)
    end

    it("has the other: silence", function()
      lab:rule { name = "mx1.dane.example", type = "AAAA", action = "silent" }
      half(support.resolver { timeout = 0.5 }, "mx1.dane.example", "ip4", "ip6", "timeout")
    end)

    it("has the other, not authentic in an unsigned zone", function()
      lab:rule { name = "mx.insecure.example", type = "AAAA", action = "servfail" }
      local result = check(support.resolver(), "mx.insecure.example", nil, insecure)
      assert.same({ "192.0.2.40" }, result.ips)
      assert.equal("servfail", result.failed.ip6.code)
    end)

    it("has the other behind an alias", function()
      lab:rule { name = "mx1.dane.example", type = "AAAA", action = "servfail" }
      local result = half(support.resolver(), "hostalias.example", "ip4", "ip6", "servfail")
      assert.equal("mx1.dane.example", result.expanded_host)
      support.contains(result.failed.ip6.message, "AAAA of mx1.dane.example")
    end)

    -- A failed lookup proves nothing: there may be addresses.
    local codes = { servfail = "servfail", refused = "servfail", corrupt = "bogus" }
    for action, code in pairs(codes) do
      it("is that failure beside an empty family: " .. action, function()
        lab:rule { name = "only4.example", type = "A", action = action }
        local err = failure(code, "only4.example")
        support.contains(err.message, "only4.example: A of only4.example")
        assert.equal(code, err.failed.ip4.code)
        assert.is_nil(err.failed.ip6)
      end)
    end

    it("is that failure beside an empty family: silence", function()
      lab:rule { name = "only6.example", type = "AAAA", action = "silent" }
      local resolver = support.resolver { timeout = 0.5 }
      local err = support.failed("timeout", resolver:gather_ips("only6.example"))
      support.contains(err.message, "only6.example: AAAA of only6.example")
    end)

    it("is the failure that says most when both do", function()
      failure("bogus", "bogusboth.example")
      lab:rule { name = "bogus6.example", type = "A", action = "servfail" }
      support.contains(failure("bogus", "bogus6.example").message, "AAAA of bogus6.example")
    end)

    it("is bogus rather than a family that timed out", function()
      lab:rule { name = "bogus6.example", type = "A", action = "silent" }
      local err = support.failed("bogus", patient { timeout = 0.5 }:gather_ips("bogus6.example"))
      support.contains(err.message, "AAAA of bogus6.example")
      assert.equal("timeout", err.failed.ip4.code)
    end)

    -- The deadline lies between a fifth more than the timeout and twice the timeout.
    it("asks for an alias for a fifth of the timeout when that has passed already", function()
      lab:rule { name = "bogus6.example", types = { A = true, CNAME = true }, action = "silent" }
      local _, err = patient { timeout = 1 * support.slow }:gather_ips("bogus6.example",
        { deadline = 1.6 * support.slow })
      -- In the longer times of a slow run libunbound sends the question more than once.
      local asked = lab:count("bogus6.example", "CNAME")
      assert.is_true(asked == 1 or asked > 1 and support.slow > 1, asked .. " questions")
      assert.is_nil(err.expired, err.message)
      support.failed("bogus", nil, err)
    end)
  end)

  it("is timeout at the call's deadline", function()
    lab:rule { name = "mx1.dane.example", action = "silent" }
    local err = failure("timeout", "mx1.dane.example", { deadline = 0.4 })
    support.contains(err.message, "mx1.dane.example")
  end)

  describe("as text", function()
    it("has a line for the host and one for each address", function()
      assert.equal("mx1.dane.example (secure)\n  2001:db8::1\n  192.0.2.1",
        tostring(ips("mx1.dane.example")))
      assert.equal("mx.insecure.example (insecure), reached by a secure alias\n"
        .. "  2001:db8::28\n  192.0.2.40", tostring(ips("hs2insecure.example")))
    end)

    it("says which family failed", function()
      local text = tostring(ips("bogus4.example"))
      support.contains(text, "bogus4.example (secure)\n  2001:db8::15\n  ip4 failed: ",
        "A of bogus4.example")
    end)
  end)

  describe("misused", function()
    it("raises", function()
      local resolver = support.resolver()
      local map = "bad option 'dialed_ips' (a host name to a list of addresses expected)"
      for _, case in ipairs {
        { { network = "ip5" }, "bad option 'network' ('ip', 'ip4' or 'ip6' expected, got 'ip5')" },
        { { network = 4 }, "bad option 'network' (string expected, got 4)" },
        { { dialed_ips = "192.0.2.1" }, "bad option 'dialed_ips' (table expected, got '192.0.2.1')" },
        { { dialed_ips = { "192.0.2.1" } }, map },
        { { dialed_ips = { ["mx.example"] = "192.0.2.1" } }, map },
        { { dialed_ips = { ["mx.example"] = { "mx.example" } } },
          "bad option 'dialed_ips' ('mx.example' is no IP address)" },
        { { dialed_ips = { ["mx.example"] = { 4 } } },
          "bad option 'dialed_ips' ('number' is no IP address)" },
        { { dialed_ips = { ["mx.example"] = { first = "192.0.2.1" } } }, map },
        { { dialed_ips = { ["mx example"] = {} } },
          "bad option 'dialed_ips' ('mx example' is no host name)" },
        { { port = 25 }, "unknown option 'port' to 'gather_ips'" },
      } do
        assert.has_error(function()
          resolver:gather_ips("mx1.dane.example", case[1])
        end, case[2])
      end
      assert.equal(0, lab:total())
    end)
  end)
end)
