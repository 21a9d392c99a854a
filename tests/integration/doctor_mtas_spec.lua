-- The doctor against real servers: Postfix and OpenSMTPD of Debian 13 with several certificates, and the zone
-- of their domains on two NSDs. A healthy domain has no finding, and each fault is found by its name.
--
-- A listener of smtpd has one certificate, so that `key-kinds-differ` is shown with Postfix alone.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local mail_server = require "tests.support.mail_server"
local mtas = require "tests.integration.mtas"
local name_servers = require "tests.support.name_servers"
local program = require "tests.support.program"
local smtpd = require "tests.integration.smtpd"
local support = require "tests.support"
local contains, lab = support.contains, support.lab

local zone = "mtas.example"
local servers = name_servers.new(zone, 85)

-- ---- certificates and records ------------------------------------------------------------

local root = ca.authority { name = "mtas-root" }
local issuing = ca.authority { name = "mtas-issuing", issuer = root }
local certificates = {}

for name, options in pairs {
  rsa = { key = "rsa" }, ec = {}, other = {}, days10 = { to = 10 }, days2 = { to = 2 },
  ended = { from = -20, to = -1 },
} do
  options.name, options.names, options.issuer = "mtas-" .. name, { "*." .. zone }, issuing
  options.to = options.to or 60
  certificates[name] = ca.leaf(options)
end

local function key(name) return ca.tlsa(certificates[name], 3, 1, 1) end

local issuer, reserve = ca.tlsa(issuing, 2, 1, 1), "2 1 1 " .. ("66"):rep(32)
local old, older, oldest = "3 1 1 " .. ("01"):rep(32), "3 1 1 " .. ("02"):rep(32), "3 1 1 " .. ("03"):rep(32)
local nothing = "3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

-- ---- hosts ------------------------------------------------------------

-- Their listeners, and their records. Listener 1 has the certificate ec and, with Postfix, rsa.
local hosts = {
  healthy = { { 1 }, { key "ec", issuer } },
  reserved = { { 1 }, { issuer, reserve } },
  following = { { 1 }, { key "ec", issuer, old } },
  full = { { 1 }, { key "ec", issuer, old, older, oldest } },
  changed = { { 1 }, { old } },
  rootless = { { 1 }, { ca.tlsa(root, 2, 1, 1) } },
  nothing = { { 1 }, { key "ec", issuer, nothing } },
  kinds = { { 1 }, { key "ec" } },
  addresses = { { 2, 3 }, { key "other" } },
  soon = { { 4 }, { issuer, reserve } },
  now = { { 5 }, { issuer, reserve } },
  ended = { { 6 }, { issuer, reserve } },
  dated = { { 6 }, { key "ended", issuer } },
}

local listeners = { [2] = "other", [3] = "ec", [4] = "days10", [5] = "days2", [6] = "ended" }

local networks = { postfix = 86, opensmtpd = 87 }

local function address(mta, listener) return ("127.%d.0.%d"):format(networks[mta], listener) end

local function domain(mta, label) return ("mx-%s-%s.%s"):format(label, mta, zone) end

-- The records of all hosts and of a domain for each.
local function zone_text()
  local lines = {}
  for mta in pairs(networks) do
    for label, host in pairs(hosts) do
      local name = ("%s-%s"):format(label, mta)
      lines[#lines + 1] = ("mx-%s MX 10 %s"):format(name, name)
      lines[#lines + 1] = ("_smtp._tls.mx-%s TXT \"v=TLSRPTv1; rua=mailto:a@b.example\""):format(name)
      for _, listener in ipairs(host[1]) do
        lines[#lines + 1] = ("%s A %s"):format(name, address(mta, listener))
      end
      for _, record in ipairs(host[2]) do
        lines[#lines + 1] = ("_25._tcp.%s TLSA %s"):format(name, record)
      end
    end
  end
  return table.concat(lines, "\n") .. "\n"
end

-- ---- the program ------------------------------------------------------------

local pair, port, tls_port

-- Runs the check of domains.
local function check(name_server_pair, more, ...)
  local words = { "--anchor", lab.anchor_file, "--check", "--verify", "--authoritative", "--helo",
    "client.test", "--keys", "rsa,ecdsa", "--connect-port", tostring(port) }
  for parent, at in pairs(lab:stub()) do words[#words + 1] = ("--stub=%s=%s"):format(parent, at) end
  for _, server in ipairs(name_server_pair) do words[#words + 1] = ("--stub=%s=%s"):format(zone, server) end
  for _, list in ipairs { more, { ... } } do
    for _, word in ipairs(list) do words[#words + 1] = word end
  end
  return program.run(words, { bare = true })
end

-- The findings of each domain, from one run.
local function findings_of(...)
  local r, by_domain = check(pair, { "--json" }, ...), {}
  for line in r.out:gmatch "[^\n]+" do
    local object = cjson.decode(line)
    by_domain[object.domain] = object.findings
  end
  return by_domain, r
end

setup(function()
  lab:clear()
  lab:add_zones { { name = zone, text = zone_text() } }
  pair = { servers:serve { text = zone_text() }, servers:serve { text = zone_text() } }
  local ports = mail_server.start()
  port, tls_port = tonumber(ports:ask "port"), tonumber(ports:ask "port")
  ports:stop()
end)
teardown(function()
  servers:stop()
  lab:clear()
  files.remove()
end)

for _, mta in ipairs { "postfix", "opensmtpd" } do
  describe("the doctor, " .. mta .. ":", function()
    local root_folder, why, server, found, result

    setup(function()
      root_folder, why = mtas.root(mta)
      if not root_folder then return end
      local more, names = {}, {}
      for number, name in pairs(listeners) do more[address(mta, number)] = { name } end
      server = mtas.start(mta, root_folder, { address = address(mta, 1), port = port, tls_port = tls_port,
        certificates = certificates, listeners = more })
      for label in pairs(hosts) do names[#names + 1] = domain(mta, label) end
      found, result = findings_of((table.unpack or unpack)(names)) -- luacheck: ignore
    end)
    before_each(function() smtpd.need(root_folder, why, pending) end)
    teardown(function()
      if server then server:stop() end
    end)

    -- Asserts what is found of a domain, and returns the findings.
    local function finds(expected, label)
      local list = assert(found[domain(mta, label)], result.err .. server:text())
      local names = {}
      for i, finding in ipairs(list) do names[i] = finding.name .. " " .. finding.severity end
      assert.same(expected, names)
      return list
    end

    it("a healthy domain has no finding, and --quiet then prints nothing", function()
      finds({}, "healthy")
      finds({}, "reserved")
      local r = check(pair, { "--quiet" }, domain(mta, "healthy"))
      assert.same({ 0, "", "" }, { r.status, r.out, r.err })
    end)

    it("records that match nothing", function()
      contains(finds({ "stale-record hint" }, "following")[1].text, "the record " .. old)
      local warning = "stale-record warning"
      contains(finds({ warning, warning, warning }, "full")[3].text, "the record " .. oldest)
    end)

    it("a certificate that no record matches, and the record to publish", function()
      local list = finds(mta == "postfix" and { "uncovered-certificate error", "uncovered-certificate error",
        "stale-record warning" } or { "uncovered-certificate error", "stale-record warning" }, "changed")
      assert.equal(("_25._tcp.changed-%s.%s. TLSA %s"):format(mta, zone, key "ec"), list[#list - 1].record)
    end)

    it("the record of a root that is not sent, and that of the issuer in its place", function()
      local finding = finds({ "root-not-sent error" }, "rootless")[1]
      assert.equal(("_25._tcp.rootless-%s.%s. TLSA %s"):format(mta, zone, issuer), finding.record)
    end)

    it("the digest of nothing", function() finds({ "digest-of-nothing error" }, "nothing") end)

    it("addresses that differ", function()
      contains(finds({ "addresses-differ error" }, "addresses")[1].text, "the server at " .. address(mta, 3))
    end)

    if mta == "postfix" then
      it("kinds of keys that differ", function()
        assert.equal(("_25._tcp.kinds-postfix.%s. TLSA %s"):format(zone, key "rsa"),
          finds({ "key-kinds-differ error" }, "kinds")[1].record)
      end)
    end

    it("a certificate that ends soon or has ended, where a record of its issuer makes dates count", function()
      finds({ "certificate-expiring warning" }, "soon")
      finds({ "certificate-expiring error" }, "now")
      finds({ "certificate-expired error" }, "ended")
      finds({ "certificate-expired hint" }, "dated")
      assert.equal(0, check(pair, {}, domain(mta, "dated")).status)
    end)

    it("a name server that lags behind", function()
      local late = servers:serve { serial = 4294967295,
        text = zone_text():gsub("(_25%._tcp%.healthy%S* TLSA) [^\n]*", "") }
      local r = check({ pair[1], late }, { "--quiet" }, domain(mta, "healthy"))
      assert.equal(1, r.status, r.err)
      contains(r.out, ("fail  %s: lagging-server: the name server %s has serial 4294967295 of the zone, and "
        .. "%s has 1: they differ in the TLSA of _25._tcp.healthy-%s.%s\n"):format(zone, late, pair[1], mta,
          zone))
    end)
  end)
end
