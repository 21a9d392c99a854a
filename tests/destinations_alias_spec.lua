-- gather_destinations of domains that are aliases: chains, loops, DNAME, and what is authentic of them.
local support = require "tests.support"
local lab = support.lab

local function target(host, pref)
  return { host = host, pref = pref }
end

local both = { orig_next_hop_authentic = true, expanded_next_hop_authentic = true }
local neither = { orig_next_hop_authentic = false, expanded_next_hop_authentic = false }
local only_first = { orig_next_hop_authentic = true, expanded_next_hop_authentic = false }

-- Asserts an answer. `hosts` is a list of targets, or the code of an error.
local function check(resolver, domain, expanded, flags, hosts)
  local result, err = resolver:gather_destinations(domain)
  if type(hosts) == "string" then
    result = support.failed(hosts, result, err)
  else
    assert.is_nil(err, tostring(err))
    assert.same(hosts, result.hosts)
  end
  assert.equal(expanded, result.expanded_next_hop)
  support.fields(flags, result)
  return result
end

-- The same from a cold cache, from the cache that leaves, and from one that knows related names.
local function check_all(domain, related, ...)
  local resolver = support.resolver()
  check(resolver, domain, ...)
  check(resolver, domain, ...)
  resolver = support.resolver()
  support.look_up(resolver, related)
  check(resolver, domain, ...)
  return check(resolver, domain, ...)
end

local mx1 = { target("mx1.dane.example", 10) }
local dane = { target("mx1.dane.example", 10), target("mx2.dane.example", 20) }

-- Every link of a chain of the lab, first to last.
local function chain(links)
  local list = {}
  for link = 0, links do
    list[link + 1] = ("d%d-%d.example"):format(links, link)
  end
  return list
end

describe("gather_destinations of an alias", function()
  before_each(support.reset)
  after_each(support.close)

  describe("follows", function()
    it("a CNAME", function()
      local result = check(support.resolver(), "alias.example", "dane.example", both, dane)
      assert.is_true(result.have_mx)
      support.ttl(300, result.ttl)
    end)

    it("a CNAME to the apex of its zone", function()
      check(support.resolver(), "alias.child.example", "child.example", both,
        { target("mx.child.example", 10) })
    end)

    for _, links in ipairs { 1, 2, 9, 10, 11, 12, 14, 15 } do
      it(("%d CNAMEs, whatever is in the cache"):format(links), function()
        local last = ("d%d-%d.example"):format(links, links)
        check_all(("d%d-0.example"):format(links), { last, chain(links)[links] }, last, both, mx1)
        local backwards = support.resolver()
        local names = chain(links)
        for index = #names, 1, -1 do
          check(backwards, names[index], last, both, mx1)
        end
      end)
    end

    -- mox looks up at most 16 names: d16-0 to d16-15, and gives up at the alias of the last.
    for _, links in ipairs { 16, 17 } do
      it(("no %d CNAMEs, whatever is in the cache"):format(links), function()
        local domain = ("d%d-0.example"):format(links)
        local given_up = ("d%d-16.example"):format(links)
        local err = check_all(domain, { given_up, chain(links)[9] }, given_up, both, "cname_limit")
        assert.is_false(err.have_mx)
        support.contains(err.message, domain, given_up)
        local last = ("d%d-%d.example"):format(links, links)
        local from = ("d%d-%d.example"):format(links, links - 15)
        check(support.resolver(), from, last, both, mx1) -- 15 from there
      end)
    end

    it("asks for nothing behind the sixteenth name", function()
      -- Names that libunbound minimises it follows by itself, without end.
      local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
      check(resolver, "d17-0.example", "d17-16.example", both, "cname_limit")
      assert.equal(1, lab:count("d17-15.example"))
      assert.equal(0, lab:count("d17-16.example"))
      assert.equal(0, lab:count("d17-17.example"))
    end)

    it("a loop of one, two or three names to where it begins again", function()
      for _, loop in ipairs { { "loop1" }, { "loop2", "loop2b" }, { "loop3", "loop3b", "loop3c" } } do
        local related = {}
        for index, name in ipairs(loop) do
          related[index] = name .. ".example"
        end
        for index, name in ipairs(related) do
          local others = { related[index % #related + 1], related[1] }
          local err = check_all(name, others, name, both, "cname_loop")
          assert.is_false(err.have_mx)
          support.contains(err.message, name)
        end
      end
    end)

    it("a loop behind an alias to its second name", function()
      check_all("looptail.example", { "loop2.example", "loop2b.example" }, "loop2.example", both,
        "cname_loop")
    end)

    it("a loop without DNSSEC", function()
      check_all("loop2.insecure.example", { "loop2b.insecure.example" }, "loop2.insecure.example",
        neither, "cname_loop")
    end)

    it("a DNAME", function()
      local child = { target("mx.child.example", 10) }
      check_all("alias.dname.example", { "nodata.dname.example" }, "child.example", both, child)
      local nodata = check(support.resolver(), "nodata.dname.example", "nodata.child.example", both,
        { target("nodata.child.example", -1) })
      assert.is_nil(nodata.nxdomain)
    end)

    it("no DNAME at its own name", function()
      check(support.resolver(), "dname.example", "dname.example", both,
        { target("dname.example", -1) })
    end)

    it("a secure DNAME into an unsigned zone", function()
      check_all("alias.dnameinsecure.example", { "nodata.dnameinsecure.example" },
        "insecure.example", only_first, { target("mx.insecure.example", 10) })
    end)

    it("to a name that does not exist", function()
      local flags = { ["dangling.example"] = both, ["danglinginsecure.example"] = only_first,
        ["dangling.insecure.example"] = neither, ["x.dnamegone.example"] = both }
      local expanded = { ["dangling.example"] = "gone.example",
        ["danglinginsecure.example"] = "gone.insecure.example",
        ["dangling.insecure.example"] = "gone.insecure.example",
        ["x.dnamegone.example"] = "x.gone.example" }
      for domain, name in pairs(expanded) do
        local result = check(support.resolver(), domain, name, flags[domain],
          { target(name, -1) })
        assert.is_true(result.nxdomain)
        assert.is_false(result.have_mx)
        support.ttl(60, result.ttl)
      end
    end)

    it("to a domain without MX, which is then the host", function()
      local result = check(support.resolver(), "implicitalias.example", "implicit.example", both,
        { target("implicit.example", -1) })
      assert.is_nil(result.nxdomain)
      check(support.resolver(), "is2child.example", "implicit.child.example", both,
        { target("implicit.child.example", -1) })
    end)

    it("to a null MX", function()
      local err = check(support.resolver(), "nullmxalias.example", "nullmx.example", both, "no_mail")
      assert.is_true(err.have_mx)
      support.contains(err.message, "nullmxalias.example", "nullmx.example")
      check(support.resolver(), "nullmxalias.insecure.example", "nullmx.example", neither, "no_mail")
    end)
  end)

  describe("between zones", function()
    it("is authentic while all of them are", function()
      for _, zone in ipairs { "child", "nsec3", "optout", "nsec3iter" } do
        local name = zone .. ".example"
        check_all("s2" .. name, { name }, name, both, { target("mx." .. name, 10) })
      end
    end)

    it("from secure to insecure is authentic at its first name alone", function()
      check_all("s2insecure.example", { "insecure.example" }, "insecure.example", only_first,
        { target("mx.insecure.example", 10) })
      check_all("s2plain.example", { "plain" }, "plain", only_first, { target("mx.plain", 10) })
      check_all("is2insecure.example", { "implicit.insecure.example" }, "implicit.insecure.example",
        only_first, { target("implicit.insecure.example", -1) })
    end)

    it("from insecure to secure is not authentic", function()
      check_all("i2s.insecure.example", { "dane.example" }, "dane.example", neither, dane)
      check_all("i2s.plain", { "dane.example" }, "dane.example", neither, dane)
      check_all("ii2s.insecure.example", { "implicit.example" }, "implicit.example", neither,
        { target("implicit.example", -1) })
    end)

    it("from secure to insecure to secure is authentic at its first name alone", function()
      check_all("s2i2s.example", { "i2s.insecure.example", "dane.example" }, "dane.example",
        only_first, dane)
      check_all("is2i2s.example", { "ii2s.insecure.example" }, "implicit.example", only_first,
        { target("implicit.example", -1) })
    end)

    it("tells the status of the first name without asking for it", function()
      check(support.resolver(), "s2insecure.example", "insecure.example", only_first,
        { target("mx.insecure.example", 10) })
      assert.equal(1, lab:count("s2insecure.example"))
    end)

    it("to an unsigned denial in a signed zone is authentic at its first name alone", function()
      check(support.resolver(), "is2nsec3iter.example", "implicit.nsec3iter.example", only_first,
        { target("implicit.nsec3iter.example", -1) })
    end)

    for _, zone in ipairs { "wrongds", "expired", "broken", "deadds" } do
      it("from secure to the bogus zone " .. zone .. " is refused", function()
        local err = check_all("s2" .. zone .. ".example", {}, zone .. ".example", only_first,
          "bogus")
        assert.is_false(err.have_mx)
        support.contains(err.message, "s2" .. zone .. ".example:", " of " .. zone .. ".example ")
      end)
    end

    it("from insecure to a bogus zone is refused", function()
      check_all("i2broken.insecure.example", {}, "broken.example", neither, "bogus")
    end)
  end)

  it("to a name with an underscore is one like any other", function()
    check_all("cnameunderscore.example", {}, "_under.score.example", both, mx1)
  end)

  describe("to what is no host name", function()
    local targets = {
      cnamespace = "has", cnamebytes = "\\000\\255.example",
    }
    for name, culprit in pairs(targets) do
      it("is invalid_name: " .. name, function()
        local domain = name .. ".example"
        local err = check_all(domain, {}, domain, both, "invalid_name")
        support.contains(err.message, domain, culprit)
      end)
    end
  end)

  describe("that fails behind the alias", function()
    local actions = { servfail = "servfail", refused = "servfail", notimp = "servfail",
      corrupt = "bogus", nodata = "bogus" }
    for action, code in pairs(actions) do
      it("keeps what the alias said: " .. action, function()
        lab:rule { name = "dane.example", type = "MX", action = action }
        local err = check_all("alias.example", {}, "dane.example", only_first, code)
        support.contains(err.message, "alias.example: MX of dane.example")
        assert.is_false(err.have_mx)
      end)
    end

    it("asks for no alias when no answer came", function()
      lab:rule { name = "dane.example", type = "MX", action = "silent" }
      local err = check(support.resolver { timeout = 0.5 * support.slow }, "alias.example",
        "alias.example", neither, "timeout")
      support.contains(err.message, "alias.example: MX of alias.example")
      assert.equal(0, lab:count("*", "CNAME"))
    end)

    it("keeps what the insecure alias said", function()
      lab:rule { name = "dane.example", type = "MX", action = "servfail" }
      check(support.resolver(), "i2s.insecure.example", "dane.example", neither, "servfail")
    end)

    it("fails at the alias itself", function()
      lab:rule { name = "alias.example", action = "servfail" }
      local err = check(support.resolver(), "alias.example", "alias.example", neither, "servfail")
      support.contains(err.message, "alias.example")
      assert.equal(0, lab:count("dane.example", "MX"))
    end)
  end)
end)
