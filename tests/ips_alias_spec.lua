-- gather_ips of hosts that are aliases: chains, loops, DNAME, and each flag between zones. `authentic` is
-- mox's: the first name's own answer and the addresses at the end, whatever lies between.
local support = require "tests.support"
local lab = support.lab

local function flags(authentic, expanded, host)
  return { authentic = authentic, expanded_authentic = expanded, host_authentic = host }
end

local secure, insecure = flags(true, true, true), flags(false, false, false)
local secure_alias = flags(false, false, true)

-- Asserts an answer. `expected` is a list of addresses, or the code of an error.
local function check(resolver, host, expanded, wanted, expected)
  local result, err = resolver:gather_ips(host)
  if type(expected) == "string" then
    result = support.failed(expected, result, err)
    assert.same({}, result.ips)
    assert.is_false(result.dualstack)
  else
    assert.is_nil(err, tostring(err))
    assert.same(expected, result.ips)
    assert.is_true(result.dualstack)
    assert.is_nil(result.failed)
    assert.equal(wanted.expanded_authentic, result.ip4_authentic)
    assert.equal(wanted.expanded_authentic, result.ip6_authentic)
  end
  assert.equal(expanded, result.expanded_host)
  support.fields(wanted, result)
  return result
end

-- The same from a cold cache, from the cache that leaves, and from one that knows related names.
local function check_all(host, related, ...)
  local resolver = support.resolver()
  check(resolver, host, ...)
  check(resolver, host, ...)
  resolver = support.resolver()
  support.look_up(resolver, related)
  check(resolver, host, ...)
  return check(resolver, host, ...)
end

local mx1 = { "2001:db8::1", "192.0.2.1" }
local chain_end = { "2001:db8::22", "192.0.2.34" }
local zone_mx = { "2001:db8::28", "192.0.2.40" }
local zone_implicit = { "2001:db8::29", "192.0.2.41" }

describe("gather_ips of an alias", function()
  before_each(support.reset)
  after_each(support.close)

  describe("follows", function()
    it("a CNAME", function()
      local result = check(support.resolver(), "hostalias.example", "mx1.dane.example", secure, mx1)
      support.ttl(300, result.ttl)
    end)

    for _, links in ipairs { 1, 2, 9, 10, 11 } do
      it(("%d CNAMEs, whatever is in the cache"):format(links), function()
        local last = ("h%d-%d.example"):format(links, links)
        local before = ("h%d-%d.example"):format(links, links - 1)
        check_all(("h%d-0.example"):format(links), { last, before }, last, secure, chain_end)
        local backwards = support.resolver()
        for link = links, 0, -1 do
          check(backwards, ("h%d-%d.example"):format(links, link), last, secure, chain_end)
        end
      end)
    end

    for _, links in ipairs { 12, 14, 17 } do
      it(("no %d CNAMEs, whatever is in the cache"):format(links), function()
        local host = ("h%d-0.example"):format(links)
        local last = ("h%d-%d.example"):format(links, links)
        local err = check_all(host, { last, ("h%d-6.example"):format(links) }, nil, secure,
          "cname_limit")
        assert.is_nil(err.failed)
        support.contains(err.message, host, ("h%d-12.example"):format(links))
        local from = ("h%d-%d.example"):format(links, links - 11)
        check(support.resolver(), from, last, secure, chain_end) -- 11 from there
      end)
    end

    it("a loop to where it begins again", function()
      for _, loop in ipairs { { "loop1" }, { "loop2", "loop2b" }, { "loop3", "loop3b", "loop3c" } } do
        for index, name in ipairs(loop) do
          local other = loop[index % #loop + 1] .. ".example"
          local err = check_all(name .. ".example", { other }, nil, secure, "cname_loop")
          support.contains(err.message, name .. ".example")
          assert.is_nil(err.failed)
        end
      end
      check_all("looptail.example", { "loop2b.example" }, nil, secure, "cname_loop")
      check_all("loop2.insecure.example", { "loop2b.insecure.example" }, nil, insecure, "cname_loop")
    end)

    it("a DNAME", function()
      check_all("mx.dname.example", { "nodata.dname.example" }, "mx.child.example", secure, zone_mx)
    end)

    it("a secure DNAME into an unsigned zone", function()
      check_all("mx.dnameinsecure.example", { "nodata.dnameinsecure.example" },
        "mx.insecure.example", secure_alias, zone_mx)
    end)

    it("to a name that does not exist", function()
      local err = check_all("danglinghost.example", { "gone.example" }, "gone.example", secure,
        "not_found")
      support.contains(err.message, "danglinghost.example: ", "gone.example")
      support.ttl(60, err.ttl)
      check_all("danglinginsecure.example", {}, "gone.insecure.example", secure_alias, "not_found")
      check_all("dangling.insecure.example", {}, "gone.insecure.example", insecure, "not_found")
    end)

    it("to a name with an underscore", function()
      check_all("underscorehost.example", {}, "_mx.dane.example", secure,
        { "2001:db8::5", "192.0.2.5" })
    end)

    it("to what is no host name", function()
      check_all("cnamespace.example", {}, nil, secure, "invalid_name")
      local err = check_all("cnamebytes.example", {}, nil, secure, "invalid_name")
      support.contains(err.message, "\\000\\255.example")
    end)
  end)

  describe("between zones", function()
    it("is secure while all of them are", function()
      for _, zone in ipairs { "child", "nsec3", "optout", "nsec3iter" } do
        check_all(("hs2%s.example"):format(zone), { ("mx.%s.example"):format(zone) },
          ("mx.%s.example"):format(zone), secure, zone_mx)
      end
    end)

    it("from secure to insecure is a secure alias", function()
      check_all("hs2insecure.example", { "mx.insecure.example" }, "mx.insecure.example",
        secure_alias, zone_mx)
      check_all("hs2plain.example", { "mx.plain" }, "mx.plain", secure_alias, zone_mx)
    end)

    it("from insecure to secure is insecure", function()
      check_all("hi2s.insecure.example", { "mx1.dane.example" }, "mx1.dane.example", insecure, mx1)
      check_all("ii2s.insecure.example", { "implicit.example" }, "implicit.example", insecure,
        zone_implicit)
    end)

    it("from secure to insecure to secure is authentic, its expansion is not", function()
      check_all("hs2i2s.example", { "hi2s.insecure.example", "mx1.dane.example" },
        "mx1.dane.example", flags(true, false, true), mx1)
      check_all("is2i2s.example", { "ii2s.insecure.example" }, "implicit.example",
        flags(true, false, true), zone_implicit)
    end)

    it("does not ask for the first name's status", function()
      check(support.resolver(), "hs2insecure.example", "mx.insecure.example", secure_alias, zone_mx)
      assert.equal(1, lab:count("hs2insecure.example"))
    end)

    for _, zone in ipairs { "wrongds", "expired", "broken", "deadds" } do
      it("from secure to the bogus zone " .. zone .. " is refused", function()
        local host = ("hs2%s.example"):format(zone)
        local err = check_all(host, {}, nil, flags(true, false, true), "bogus")
        support.contains(err.message, host .. ": ", (" of mx.%s.example "):format(zone))
      end)
    end
  end)

  describe("that fails behind the alias", function()
    local codes = { servfail = "servfail", refused = "servfail", corrupt = "bogus" }
    for action, code in pairs(codes) do
      it("keeps what the alias said: " .. action, function()
        lab:rule { name = "mx1.dane.example", action = action }
        local err = check_all("hostalias.example", {}, nil, flags(true, false, true), code)
        support.contains(err.message, "hostalias.example: ", " of mx1.dane.example")
      end)

      it("is no error of the family that has addresses: " .. action, function()
        lab:rule { name = "mx1.dane.example", type = "A", action = action }
        for _, warm in ipairs { {}, { "mx1.dane.example" } } do
          local resolver = support.resolver()
          support.look_up(resolver, warm)
          local result = assert(resolver:gather_ips("hostalias.example"))
          assert.same({ "2001:db8::1" }, result.ips)
          assert.equal(code, result.failed.ip4.code)
          support.fields(secure, result)
        end
      end)
    end

    it("asks for no alias when no answer came", function()
      lab:rule { name = "mx1.dane.example", action = "silent" }
      local err = check(support.resolver { timeout = 0.5 }, "hostalias.example",
        "hostalias.example", insecure, "timeout")
      support.contains(err.message, "hostalias.example: ", " of hostalias.example")
      assert.equal(0, lab:count("*", "CNAME"))
    end)

    it("fails at the alias itself", function()
      lab:rule { name = "hostalias.example", action = "servfail" }
      local err = check(support.resolver(), "hostalias.example", "hostalias.example", insecure,
        "servfail")
      support.contains(err.message, " of hostalias.example")
      assert.equal(0, lab:count("mx1.dane.example"))
    end)
  end)
end)
