-- gather_destinations: domain -> mail hosts. The expected values are mox's GatherDestinations on the
-- zones of tests/lab, worked out by hand.
local support = require "tests.support"
local lab = support.lab

local function target(host, pref)
  return { host = host, pref = pref }
end

-- The result for a domain, from a cold cache, and what the API says of every result.
local function destinations(domain, options)
  local result, err = support.resolver():gather_destinations(domain, options)
  assert.is_nil(err, tostring(err))
  assert.is_false(result.permanent)
  return result
end

local function failure(code, domain, options)
  local err = support.failed(code, support.resolver():gather_destinations(domain, options))
  assert.is_nil(err.hosts)
  return err
end

local both = { orig_next_hop_authentic = true, expanded_next_hop_authentic = true }
local neither = { orig_next_hop_authentic = false, expanded_next_hop_authentic = false }

describe("gather_destinations", function()
  before_each(support.reset)
  after_each(support.close)

  describe("of a domain with MX", function()
    it("has the whole answer of a secure zone", function()
      local result = destinations("dane.example")
      support.ttl(300, result.ttl)
      result.ttl = nil
      assert.same({
        have_mx = true, permanent = false,
        orig_next_hop_authentic = true, expanded_next_hop_authentic = true,
        expanded_next_hop = "dane.example",
        hosts = { target("mx1.dane.example", 10), target("mx2.dane.example", 20) },
      }, result)
    end)

    for _, zone in ipairs { "child", "nsec3", "optout", "nsec3iter" } do
      it("is authentic in the signed zone " .. zone, function()
        local result = destinations(zone .. ".example")
        support.fields(both, result)
        assert.same({ target("mx." .. zone .. ".example", 10) }, result.hosts)
      end)
    end

    for _, domain in ipairs { "insecure.example", "unsigned.optout.example", "plain" } do
      it("is not authentic in the unsigned zone " .. domain, function()
        local result = destinations(domain)
        support.fields(neither, result)
        assert.is_true(result.have_mx)
        assert.same({ target("mx." .. domain, 10) }, result.hosts)
      end)
    end

    it("is not authentic for a secure host's sake", function()
      local result = destinations("tosecure.insecure.example")
      support.fields(neither, result)
      assert.same({ target("mx1.dane.example", 10) }, result.hosts)
    end)

    it("is found through a wildcard", function()
      local result = destinations("any.wild.example")
      support.fields(both, result)
      assert.equal("any.wild.example", result.expanded_next_hop)
      assert.same({ target("mx1.dane.example", 10) }, result.hosts)
    end)

    it("has the TTL of the MX records, or of the alias if that is smaller", function()
      support.ttl(600, destinations("ttl.example").ttl)
      support.ttl(120, destinations("alias.ttl.example").ttl)
    end)

    local reasons = {
      wrongds = "DS", expired = "signature expired", broken = "signature", deadds = "DNSKEY",
    }
    for zone, reason in pairs(reasons) do
      it("is refused from the bogus zone " .. zone, function()
        local domain = zone .. ".example"
        local err = failure("bogus", domain)
        support.contains(err.message, domain .. ": MX of " .. domain, reason)
        support.fields(neither, err)
        assert.is_false(err.have_mx)
        assert.equal(domain, err.expanded_next_hop)
      end)
    end
  end)

  describe("of a domain without MX", function()
    local function implicit(domain, flags, nxdomain)
      local result = destinations(domain)
      assert.same({ target(domain, -1) }, result.hosts)
      assert.is_false(result.have_mx)
      assert.equal(domain, result.expanded_next_hop)
      assert.equal(nxdomain, result.nxdomain)
      support.fields(flags, result)
      support.ttl(60, result.ttl)
    end

    it("is the domain itself", function()
      implicit("implicit.example", both)
      implicit("implicit.child.example", both)
      implicit("implicit.nsec3.example", both)
      implicit("implicit.optout.example", both)
      implicit("implicit.insecure.example", neither)
    end)

    it("is the domain itself, whether that can take mail or not", function()
      implicit("onlytxt.example", both)
      implicit("nodata.nsec3.example", both)
      implicit("org.example", both) -- an empty name with others below it
    end)

    it("says so when the domain does not exist", function()
      implicit("nothing.example", both, true)
      implicit("nothing.nsec3.example", both, true)
      implicit("nothing.insecure.example", neither, true)
      implicit("nothing", both, true)
    end)

    it("is not authentic where the denial proves nothing", function()
      implicit("nothing.optout.example", neither, true)
      implicit("implicit.nsec3iter.example", neither)
      implicit("nothing.nsec3iter.example", neither, true)
    end)

    it("asks for MX and nothing else", function()
      local resolver = support.resolver()
      assert(resolver:gather_destinations("implicit.example"))
      assert.equal(1, lab:count("implicit.example", "MX"))
      assert.equal(0, lab:count("implicit.example", "CNAME"))
      assert.equal(0, lab:count("implicit.example", "AAAA"))
    end)
  end)

  describe("of a domain that takes no mail", function()
    for _, domain in ipairs { "nullmx.example", "nullmx10.example", "nullmxtwo.example" } do
      it("is no_mail: " .. domain, function()
        local err = failure("no_mail", domain)
        support.fields(both, err)
        assert.is_true(err.have_mx)
        assert.equal(domain, err.expanded_next_hop)
        support.contains(err.message, domain)
        support.ttl(300, err.ttl)
      end)
    end

    it("is no_mail without DNSSEC too", function()
      local err = failure("no_mail", "nullmx.insecure.example")
      support.fields(neither, err)
      assert.is_true(err.have_mx)
    end)

    it("leaves a null MX beside others out", function()
      assert.same({ target("mx1.dane.example", 10) }, destinations("nullmxmixed.example").hosts)
      assert.same({ target("mx1.dane.example", 10) }, destinations("nullmxlast.example").hosts)
      local result = destinations("nullmxmixed.insecure.example")
      assert.same({ target("mx.insecure.example", 10) }, result.hosts)
      support.fields(neither, result)
    end)
  end)

  describe("of MX that are no host names", function()
    local reasons = {
      mxip = "an IP address", mxip6 = "a byte", mxspace = "a byte", mxhyphen = "hyphen",
      mxhyphenend = "hyphen", mxbytes = "a byte", mxslash = "a byte", mxallbad = "",
      mxbadandnull = "an IP address",
    }
    for name, reason in pairs(reasons) do
      it("is invalid_mx: " .. name, function()
        local domain = name .. ".example"
        local err = failure("invalid_mx", domain)
        support.fields(both, err)
        assert.is_true(err.have_mx)
        assert.equal(domain, err.expanded_next_hop)
        support.contains(err.message, domain, reason)
      end)
    end

    it("is invalid_mx without DNSSEC too", function()
      support.fields(neither, failure("invalid_mx", "mxip.insecure.example"))
    end)

    it("keeps the good ones", function()
      local result = destinations("mxsomebad.example")
      assert.same({ target("mx1.dane.example", 30) }, result.hosts)
      assert.is_true(result.have_mx)
    end)

    it("lets an underscore through", function()
      assert.same({ target("_mx.dane.example", 10) }, destinations("mxunderscore.example").hosts)
    end)

    it("takes a name of 253 bytes", function()
      local label = ("a"):rep(63)
      local longest = table.concat({ label, label, label, ("a"):rep(53), "example" }, ".")
      assert.equal(253, #longest)
      assert.same({ target(longest, 10) }, destinations("mxlongest.example").hosts)
    end)

    it("are lower case", function()
      assert.same({ target("mx1.dane.example", 10) }, destinations("mxcase.example").hosts)
    end)
  end)

  describe("that fails", function()
    local actions = {
      servfail = "servfail", refused = "servfail", notimp = "servfail", formerr = "servfail",
      loop = "servfail", corrupt = "bogus",
      nodata = "bogus", nxdomain = "bogus", -- unsigned, in a signed zone
    }
    for action, code in pairs(actions) do
      it("is " .. code .. " when the server answers: " .. action, function()
        lab:rule { name = "dane.example", type = "MX", action = action }
        local err = failure(code, "dane.example")
        support.contains(err.message, "dane.example: MX of dane.example")
        support.fields(neither, err)
        assert.is_false(err.have_mx)
        assert.equal("dane.example", err.expanded_next_hop)
      end)
    end

    it("is timeout when the server is silent", function()
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      local resolver = support.resolver { timeout = 0.4 }
      local err = support.failed("timeout", resolver:gather_destinations("dane.example"))
      support.contains(err.message, "dane.example: MX of dane.example")
      support.fields(neither, err)
      assert.equal("dane.example", err.expanded_next_hop)
    end)

    it("is timeout at the call's deadline", function()
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      local err = failure("timeout", "dane.example", { deadline = 0.4 })
      support.contains(err.message, "dane.example")
    end)

    it("still takes the next call", function()
      local id = lab:rule { name = "dane.example", type = "MX", action = "servfail" }
      local resolver = support.resolver()
      support.failed("servfail", resolver:gather_destinations("dane.example"))
      lab:unrule(id)
      assert(resolver:gather_destinations("implicit.example"))
    end)
  end)

  describe("as text", function()
    it("has a line for the domain and one for each host", function()
      local text = tostring(destinations("dane.example"))
      support.contains(text, "dane.example: MX (secure)", "10 mx1.dane.example",
        "20 mx2.dane.example")
      assert.equal(3, select(2, (text .. "\n"):gsub("\n", "")))
    end)

    it("says what is not there", function()
      support.contains(tostring(destinations("implicit.insecure.example")),
        "no MX", "(insecure)", "\n        implicit.insecure.example")
      support.contains(tostring(destinations("nothing.example")), "does not exist")
      support.contains(tostring(destinations("s2insecure.example")),
        "insecure.example: MX (insecure)", "alias (secure)")
    end)

    it("has hosts that print", function()
      local hosts = destinations("dane.example").hosts
      assert.equal("mx1.dane.example (preference 10)", tostring(hosts[1]))
      assert.equal("implicit.example", tostring(destinations("implicit.example").hosts[1]))
    end)
  end)

  describe("misused", function()
    it("raises", function()
      local resolver = support.resolver()
      local function raises(message, domain, options)
        assert.has_error(function()
          resolver:gather_destinations(domain, options)
        end, message)
      end
      raises("bad argument #1 to 'gather_destinations' (domain name expected, got nil)")
      raises("bad argument #1 to 'gather_destinations' (domain name expected, got number)", 25)
      raises("bad argument #2 to 'gather_destinations' (options table or callback expected)",
        "dane.example", "dane.example")
      raises("unknown option 'network' to 'gather_destinations'", "dane.example", { network = "ip4" })
      raises("bad option 'deadline' (seconds, 0 to 1000000, expected, got '1')",
        "dane.example", { deadline = "1" })
      raises("bad option 'deadline' (seconds, 0 to 1000000, expected, got -1)",
        "dane.example", { deadline = -1 })
      assert.equal(0, lab:total())
    end)
  end)
end)
