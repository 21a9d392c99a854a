-- gather_tlsa: host -> TLSA records. Expected values as in mox's GatherTLSA; what is usable as there and
-- in RFC 7672 3.1.
local support = require "tests.support"
local lab = support.lab
local kinds = require "tests.lab.tlsa"
local unpack = table.unpack or unpack -- luacheck: ignore

-- Bytes of the lab's certificates: "server.spki", "ca.cert.sha256", ...
local function bytes(name)
  local file = assert(io.open(lab.folder .. "/" .. name, "rb"))
  local data = file:read("*a")
  file:close()
  return data
end

local function hex(data)
  return (data:gsub(".", function(c)
    return ("%02x"):format(c:byte())
  end))
end

local function record(usage, selector, match_type, data)
  return { usage = usage, selector = selector, match_type = match_type, data = data }
end

-- Any order will do.
local function sorted(records)
  table.sort(records, function(a, b)
    return tostring(a) < tostring(b)
  end)
  return records
end

local function tlsa(host, options)
  local result, err = support.resolver():gather_tlsa(host, options)
  assert.is_nil(err, tostring(err))
  return result
end

-- Asserts that there is no DANE, and no error.
local function none(host, options)
  local result = tlsa(host, options)
  assert.is_false(result.dane_required)
  assert.same({}, result.records)
  assert.same({}, result.unusable)
  assert.equal(host, result.tlsa_base_domain)
  return result
end

describe("gather_tlsa", function()
  before_each(support.reset)
  after_each(support.close)

  it("has the records of a secure host", function()
    local result = tlsa("mx1.dane.example")
    support.ttl(300, result.ttl)
    result.ttl = nil
    assert.same({
      dane_required = true, tlsa_base_domain = "mx1.dane.example", unusable = {},
      records = { record(3, 1, 1, bytes("server.spki.sha256")) },
    }, result)
  end)

  it("asks for TLSA at the host's port 25 and nothing else of it", function()
    local resolver = support.resolver { options = { ["qname-minimisation"] = "no" } }
    assert(resolver:gather_tlsa("mx1.dane.example"))
    assert.equal(1, lab:count("_25._tcp.mx1.dane.example", "TLSA"))
    assert.equal(1, lab:count("_25._tcp.mx1.dane.example"))
    assert.equal(0, lab:count("mx1.dane.example"))
    lab:reset()
    assert(resolver:gather_tlsa("mx1.dane.example"))
    assert.equal(0, lab:total())
  end)

  it("takes another port and protocol", function()
    local result = tlsa("mx1.dane.example", { port = 465 })
    assert.same({ record(3, 1, 2, bytes("server.spki.sha512")) }, result.records)
    result = tlsa("mx1.dane.example", { port = 587, protocol = "tcp" })
    assert.same({ record(3, 0, 1, bytes("server.cert.sha256")) }, result.records)
    lab:reset()
    none("mx1.dane.example", { port = 853, protocol = "udp" })
    assert.equal(1, lab:count("_853._udp.mx1.dane.example", "TLSA"))
  end)

  it("finds records through a wildcard", function()
    local result = tlsa("any.wildcard.example")
    assert.same({ record(3, 1, 1, bytes("server.spki.sha256")) }, result.records)
  end)

  it("has the TTL of the records", function()
    support.ttl(30, tlsa("mx.ttl.example").ttl)
  end)

  describe("of usable records", function()
    local number = { cert = 0, spki = 1, sha256 = 1, sha512 = 2 }

    for _, entry in ipairs(kinds.usable) do
      it("has " .. entry[1], function()
        local usage, selector, match, name = entry[2]:match("^(%d) (%d) (%d) %${(.*)}$")
        -- The lab's text says it twice: by number and by what is in it.
        local what, form = name:match("^%w+%.(%w+)%.?(%w*)$")
        assert.equal(number[what], tonumber(selector))
        assert.equal(number[form] or 0, tonumber(match))
        local data = bytes(name)
        local result = tlsa("t-" .. entry[1] .. ".example")
        assert.is_true(result.dane_required)
        assert.same({}, result.unusable)
        assert.same({ record(tonumber(usage), tonumber(selector), tonumber(match), data) },
          result.records)
        assert.equal(("%s %s %s %s"):format(usage, selector, match, hex(data)),
          tostring(result.records[1]))
      end)
    end
  end)

  describe("of unusable records", function()
    local reasons = {
      ["001"] = { "PKIX-TA(0)", "RFC 7672 3.1.3" },
      ["101"] = { "PKIX-EE(1)", "RFC 7672 3.1.3" },
      ["111"] = { "PKIX-EE(1)", "RFC 7672 3.1.3" },
      usage4 = { "usage 4" }, usage255 = { "usage 255" },
      selector2 = { "selector 2" }, selector255 = { "selector 255" },
      match3 = { "match type 3" }, match255 = { "match type 255" },
      ["sha256-31"] = { "SHA2-256", "31 bytes", "not 32" },
      ["sha256-33"] = { "SHA2-256", "33 bytes", "not 32" },
      ["sha512-63"] = { "SHA2-512", "63 bytes", "not 64" },
      ["sha512-65"] = { "SHA2-512", "65 bytes", "not 64" },
      ["cert-trailing"] = { "trailing bytes after the certificate: 1" },
      ["cert-truncated"] = { "no certificate" },
      ["spki-trailing"] = { "trailing bytes after the public key: 1" },
      ["spki-truncated"] = { "no public key" },
      ["cert-as-spki"] = { "no public key" },
      ["spki-as-cert"] = { "no certificate" },
      junk = { "4 bytes", "no certificate" },
      ["empty-300"] = { "without data" }, ["empty-310"] = { "without data" },
      ["empty-311"] = { "without data" },
    }

    for _, entry in ipairs(kinds.unusable) do
      local kind = entry[1]
      if kind ~= "allbad" then
        it("says why: " .. kind, function()
          local result = tlsa("t-" .. kind .. ".example")
          assert.is_true(result.dane_required)
          assert.same({}, result.records)
          assert.equal("t-" .. kind .. ".example", result.tlsa_base_domain)
          assert.equal(1, #result.unusable)
          local bad = result.unusable[1]
          local usage, selector, match = entry[2]:match("^(%d+) (%d+) (%d+)")
          assert.same({ tonumber(usage), tonumber(selector), tonumber(match) },
            { bad.usage, bad.selector, bad.match_type })
          support.contains(bad.reason, unpack(reasons[kind]))
        end)
      end
    end

    it("keeps their data", function()
      assert.equal(bytes("server.cert") .. "\0", tlsa("t-cert-trailing.example").unusable[1].data)
      assert.equal("\222\173\190\239", tlsa("t-junk.example").unusable[1].data)
      assert.equal("", tlsa("t-empty-311.example").unusable[1].data)
      assert.equal("3 1 1 ", tostring(tlsa("t-empty-311.example").unusable[1]))
    end)

    it("still requires TLS when all are", function()
      local result = tlsa("t-allbad.example")
      assert.is_true(result.dane_required)
      assert.same({}, result.records)
      assert.equal(4, #result.unusable)
    end)

    it("has the usable ones apart", function()
      local result = tlsa("t-mixed.example")
      assert.same({ record(2, 0, 1, bytes("ca.cert.sha256")),
        record(3, 1, 1, bytes("server.spki.sha256")) }, sorted(result.records))
      assert.equal(2, #result.unusable)
      local bad = sorted(result.unusable)
      support.contains(bad[1].reason, "PKIX-EE(1)")
      support.contains(bad[2].reason, "31 bytes")
    end)

    it("keeps every digest of a certificate", function()
      assert.equal(2, #tlsa("t-agility.example").records) -- choosing among them is plan's
    end)
  end)

  describe("of many records", function()
    -- In numbers of the lab: record n is 3 1 1 with n as its digest.
    local function whole(result, size)
      local seen = {}
      assert.equal(size, #result.records)
      assert.same({}, result.unusable)
      for _, each in ipairs(result.records) do
        assert.equal(32, #each.data)
        seen[tonumber(hex(each.data), 16)] = true
      end
      for number = 1, size do
        assert.is_true(seen[number], "record " .. number)
      end
    end

    for _, size in ipairs(kinds.sizes) do
      it(("has all %d, over UDP or TCP"):format(size), function()
        local resolver = support.resolver { timeout = 10 }
        local name = ("_25._tcp.t-%d.example"):format(size)
        whole(assert(resolver:gather_tlsa(("t-%d.example"):format(size))), size)
        assert.equal(size > 20, lab:count(name, "TLSA", "tcp") > 0)
        lab:reset()
        whole(assert(resolver:gather_tlsa(("t-%d.example"):format(size))), size)
        assert.equal(0, lab:total())
      end)
    end

    it("has all after a truncated answer", function()
      lab:rule { name = "_25._tcp.t-20.example", type = "TLSA", action = "truncate" }
      whole(tlsa("t-20.example"), 20)
      assert.equal(1, lab:count("_25._tcp.t-20.example", "TLSA", "tcp"))
    end)

    for _, how in ipairs { "refuse", "reset", "close", "half" } do
      it("fails safely when TCP does not work: " .. how, function()
        lab:rule { name = "_25._tcp.t-20.example", type = "TLSA", action = "truncate", tcp = how }
        local err = support.failed("servfail", support.resolver():gather_tlsa("t-20.example"))
        assert.is_true(err.dane_required)
        assert.same({}, err.records)
      end)
    end

    it("fails safely when TCP does not answer", function()
      lab:rule { name = "_25._tcp.t-20.example", type = "TLSA", action = "truncate", tcp = "silent" }
      local resolver = support.resolver { timeout = 0.5 }
      local err = support.failed("timeout", resolver:gather_tlsa("t-20.example"))
      assert.is_true(err.dane_required)
    end)
  end)

  describe("without records", function()
    it("is no error", function()
      for _, host in ipairs { "nothing.example", "tlsanodata.example", "mx.nodane.example",
        "nothing.nsec3.example" } do
        support.ttl(60, none(host).ttl)
      end
    end)

    it("is no error where the denial proves nothing", function()
      none("nothing.optout.example")
      none("nothing.nsec3iter.example")
    end)

    it("is no error in an unsigned zone, whatever is there", function()
      none("mx.insecure.example")
      none("mx.unsigned.optout.example")
      none("mx.plain")
    end)

    it("asks for no name that is too long to exist", function()
      local label = ("a"):rep(63)
      local host = table.concat({ label, label, label, ("a"):rep(53), "example" }, ".")
      assert.equal(253, #host)
      none(host)
      assert.equal(0, lab:total())
      -- "_25._tcp." has nine bytes.
      none(host:sub(9))
      assert.equal(0, lab:total())
      none(host:sub(10))
      assert.is_true(lab:total() > 0)
    end)
  end)

  describe("as text", function()
    it("has a line for each record", function()
      assert.equal("mx1.dane.example: DANE\n  TLSA 3 1 1 " .. hex(bytes("server.spki.sha256")),
        tostring(tlsa("mx1.dane.example")))
      assert.equal("nothing.example: no DANE", tostring(tlsa("nothing.example")))
    end)

    it("says what is not usable, and why", function()
      support.contains(tostring(tlsa("t-junk.example")), "t-junk.example: TLSA records, none usable",
        "\n  not usable: 3 0 0 deadbeef (", "no certificate")
    end)

    it("keeps certificates short", function()
      for line in tostring(tlsa("t-300.example")):gmatch("[^\n]+") do
        assert(#line < 200)
      end
    end)
  end)

  describe("misused", function()
    it("raises", function()
      local resolver = support.resolver()
      local port = "bad option 'port' (integer from 1 to 65535 expected, got %s)"
      local protocol = "bad option 'protocol' (a lower-case protocol name such as 'tcp' expected, "
        .. "got '%s')"
      for _, case in ipairs {
        { { port = 0 }, port:format "0" },
        { { port = 65536 }, port:format "65536" },
        { { port = "25" }, port:format "'25'" },
        { { port = 2.5 }, port:format "2.5" },
        { { protocol = "" }, protocol:format "" },
        { { protocol = "t.cp" }, protocol:format "t.cp" },
        { { protocol = 6 }, "bad option 'protocol' (string expected, got 6)" },
        { { expanded_authentic = 1 }, "bad option 'expanded_authentic' (boolean expected, got 1)" },
        { { expanded_host = "no host" },
          "bad option 'expanded_host' ('no host': a space or control character)" },
        { { expanded_host = false }, "bad option 'expanded_host' (string expected, got boolean)" },
        { { dialed_ips = {} }, "unknown option 'dialed_ips' to 'gather_tlsa'" },
      } do
        assert.has_error(function()
          resolver:gather_tlsa("mx1.dane.example", case[1])
        end, case[2])
      end
      assert.equal(0, lab:total())
    end)
  end)
end)
