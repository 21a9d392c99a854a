-- What the lookups take for a name: spellings, U-labels, address literals; and what they refuse before
-- anything is asked.
local support = require "tests.support"
local lab = support.lab

local methods = { "gather_destinations", "gather_ips", "gather_tlsa" }

local function call(method, name)
  local resolver = support.resolver()
  return resolver[method](resolver, name)
end

-- Asserts that a spelling means this name, to all three.
local function means(name, spelling)
  lab:reset()
  local found = assert(call("gather_destinations", spelling))
  assert.equal(name, found.expanded_next_hop)
  local ips, err = call("gather_ips", spelling)
  assert.equal(name, (ips or err).expanded_host)
  assert.equal(name, assert(call("gather_tlsa", spelling)).tlsa_base_domain)
  for _, query in ipairs(lab:queries()) do
    assert.equal(query.name:lower(), query.name)
    assert.is_nil(query.name:find("[\128-\255]"))
  end
end

-- Asserts that all three refuse a name for this reason and ask nothing.
local function refused(name, reason)
  for _, method in ipairs(methods) do
    local err = support.failed("invalid_name", call(method, name))
    support.contains(err.message, reason)
    assert.is_true(err.permanent)
  end
  assert.equal(0, lab:total(), name)
end

describe("A name", function()
  before_each(support.reset)
  after_each(support.close)

  it("may have any case and a final dot", function()
    means("mx1.dane.example", "mx1.dane.example.")
    means("mx1.dane.example", "MX1.Dane.EXAMPLE")
    means("mx1.dane.example", "MX1.DANE.EXAMPLE.")
    means("plain", "Plain.")
  end)

  it("may be internationalised", function()
    local munich = "xn--mnchen-3ya.example"
    for _, spelling in ipairs {
      "münchen.example", "München.Example.", "MÜNCHEN.EXAMPLE", "mu\204\136nchen.example",
      "münchen。example", "ｍünchen.example", munich, munich:upper(), munich .. ".",
    } do
      means(munich, spelling)
      assert.equal("mx1.dane.example",
        assert(call("gather_destinations", spelling)).hosts[1].host)
    end
  end)

  it("is by IDNA2008, not transitional", function()
    means("xn--strae-oqa.example", "straße.example")
    means("xn--nxasmm1c.example", "βόλος.example")
    means("xn--4gbrim.xn----ymcbaaajlc6dj7bxne2c.example", "موقع.وزارة-الاتصالات.example")
  end)

  it("may be long", function()
    local label = ("a"):rep(63)
    means(label .. ".example", label .. ".example")
    local longest = table.concat({ label, label, label, ("a"):rep(53), "example" }, ".")
    assert.equal(253, #longest)
    local ips, err = call("gather_ips", longest .. ".")
    assert.equal(longest, (ips or err).expanded_host)
  end)

  it("may look like much else", function()
    means("a-b.example", "a-b.example")
    means("a--b.example", "a--b.example")
    means("ab--cd.example", "AB--cd.example")
    means("r3---sn.xn--mnchen-3ya.example", "r3---sn.münchen.example")
    means("xn--a.example", "xn--A.example")
    means("xn--mnchen.example", "xn--mnchen.example")
    means("1.example", "1.example")
    means("192.0.2.1.example", "192.0.2.1.example")
    means("3com.example", "3com.example")
  end)

  it("may have an underscore, but not in a U-label", function()
    means("_mx.dane.example", "_MX.dane.example.")
    means("_dmarc.xn--mnchen-3ya.example", "_dmarc.münchen.example")
    lab:reset()
    refused("_münchen.example", "an underscore in an internationalised name")
  end)
end)

describe("No name", function()
  before_each(support.reset)
  after_each(support.close)

  local label = ("a"):rep(63)
  local names = {
    { "", "empty" }, { ".", "root" }, { "..", "empty label" }, { ".example", "empty label" },
    { "a..example", "empty label" }, { "a.example..", "empty label" },
    { label .. "a.example", "label longer than 63 bytes" },
    { table.concat({ label, label, label, ("a"):rep(54), "example" }, "."), "longer than 253 bytes" },
    { ("a."):rep(5000) .. "example", "longer than 253 bytes" },
    { ("ü"):rep(60) .. ".example", "63 bytes" },
    { "-mx.example", "hyphen" }, { "mx-.example", "hyphen" }, { "mx.-", "hyphen" },
    { "ab--ü.example", "\"--\"" }, { "xn--.example", "hyphen" }, { "ｘn--a.example", "IDNA2008" },
    { "mx example", "a space" }, { " dane.example", "a space" }, { "dane.example\n", "a space" },
    { "dane.example\r\nX y", "a space" }, { "dane\0.example", "a NUL byte" },
    { "dane.example\0", "a NUL byte" }, { "\127.example", "control character" },
    { "user@dane.example", "a mail address" },
    { "dane.example:25", "it has a colon, and is no IPv6 address" },
    { "a/b.example", "not a letter, digit or hyphen" }, { "*.example", "not a letter" },
    { "a\\.b.example", "not a letter" }, { "\"dane.example\"", "not a letter" },
    { "\255\254.example", "not UTF-8" }, { "\195.example", "not UTF-8" },
    { "\237\160\128.example", "" }, -- half a surrogate pair
    { "ü b.example", "a space" }, { "☃\0.example", "a NUL byte" },
    { "a\226\128\141b.example", "joiner" },
    { "12345", "a number" }, { "1.2.3", "a number" }, { "192.0.2.1.5", "a number" },
    { "192.0.2.256", "a number" }, { "192.0.2.1.", "a number" }, { "0x7f.1", "all digits" },
    { "mx.25", "all digits" },
  }
  for _, entry in ipairs(names) do
    local shown = entry[1]:gsub("[%c\127-\255]", "?"):sub(1, 30)
    it(("is %q: %s"):format(shown, entry[2]), function()
      refused(entry[1], entry[2])
    end)
  end

  it("is an address that is none", function()
    for _, name in ipairs {
      "[192.0.2.256]", "[192.0.2]", "[IPv6:2001:db8::g]", "[IPv6:]", "[IPv6:192.0.2.1]", "[::1",
      "2001:db8::1%eth0", "[2001:db8::1%lo]", "2001:db8", "2001:db8:::1", "1:2:3:4:5:6:7:8:9",
      "[]", "[", "[IPv4:192.0.2.1]", "[192.0.2.1]:25", "::ffff:192.0.2.256", "2001:db8::1.",
    } do
      refused(name, "")
    end
  end)

  it("is named in the error, in one line of readable length", function()
    local err = support.failed("invalid_name", call("gather_destinations", "two words"))
    assert.equal("\"two words\" is no domain name: a space or control character", err.message)
    err = support.failed("invalid_name", call("gather_ips", "a\nb\0c"))
    support.contains(err.message, "\"a\\x0ab\\x00c\" is no host name: ")
    err = support.failed("invalid_name", call("gather_tlsa", ("x"):rep(100000)))
    support.contains(err.message, "\"xxxxxx", "...\" is no host name: a name longer than 253 bytes")
    assert(#err.message < 500)
  end)

  it("leaves the resolver as it was", function()
    local resolver = support.resolver()
    for _ = 1, 100 do
      support.failed("invalid_name", resolver:gather_ips("no name"))
    end
    assert.equal(0, resolver:stats().lookups)
    assert(resolver:gather_ips("mx1.dane.example"))
  end)
end)

describe("An address literal", function()
  before_each(support.reset)
  after_each(support.close)

  -- Spelling and what it means.
  local literals = {
    { "192.0.2.1", "192.0.2.1" }, { "[192.0.2.1]", "192.0.2.1" },
    { "2001:db8::1", "2001:db8::1" }, { "[IPv6:2001:db8::1]", "2001:db8::1" },
    { "[ipv6:2001:DB8:0:0:0:0:0:1]", "2001:db8::1" }, { "[2001:db8::1]", "2001:db8::1" },
    { "2001:0DB8::0001", "2001:db8::1" }, { "::1", "::1" }, { "[IPv6:::]", "::" },
    { "::ffff:192.0.2.1", "::ffff:192.0.2.1" }, { "0.0.0.0", "0.0.0.0" },
  }
  for _, literal in ipairs(literals) do
    it(("is %s, as %s, without a question"):format(literal[2], literal[1]), function()
      assert.same({
        have_mx = false, permanent = false,
        orig_next_hop_authentic = false, expanded_next_hop_authentic = false,
        hosts = { { host = literal[2], pref = -1 } },
      }, assert(call("gather_destinations", literal[1])))
      assert.same({
        authentic = false, expanded_authentic = false, host_authentic = false,
        ips = { literal[2] }, dualstack = false,
      }, assert(call("gather_ips", literal[1])))
      assert.same({
        dane_required = false, records = {}, unusable = {}, tlsa_base_domain = literal[2],
      }, assert(call("gather_tlsa", literal[1])))
      assert.equal(0, lab:total())
    end)
  end

  it("prints", function()
    support.contains(tostring(assert(call("gather_destinations", "[192.0.2.1]"))), "an address",
      "192.0.2.1")
    support.contains(tostring(assert(call("gather_ips", "[192.0.2.1]"))), "an address",
      "\n  192.0.2.1")
    assert.equal("192.0.2.1: no DANE", tostring(assert(call("gather_tlsa", "[192.0.2.1]"))))
  end)
end)
