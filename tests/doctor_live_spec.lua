-- nexthop --check --verify: what the hosts present against their records, on real connections.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local live = require "nexthop.doctor.live"
local metrics = require "nexthop.doctor.metrics"
local outcome = require "nexthop.doctor.outcome"
local program = require "tests.support.program"
local support = require "tests.support"
local verifying = require "tests.support.verifying"
local contains = support.contains

local world = verifying.world("vdoctor.example", 78)

local root = ca.authority { name = "doc-root" }
local issuing = ca.authority { name = "doc-issuing", issuer = root }
local function leaf(label, options)
  options = options or {}
  options.name, options.names = "doc-" .. label, { label .. ".vdoctor.example", "keyed-" .. label
    .. ".vdoctor.example" }
  return ca.leaf(options)
end
local function tlsa(certificate, usage)
  return ca.tlsa(certificate, usage or 3, 1, 1)
end

local rsa, ec = leaf("rsa", { key = "rsa", to = 60 }), leaf("ec", { to = 60 })
local other = leaf("other", { key = "rsa", to = 60 })
local issued = leaf("issued", { issuer = issuing, to = 60 })
local next_key, stale = ca.stale(3, 1, 1), "3 1 1 " .. ("77"):rep(32)
local nothing = "3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

-- A host with these records, whose server has these certificates; its domain has a TLSRPT record.
local function host(label, records, certificates, more)
  more = more or {}
  more.tlsa, more.server = records, more.server or { certificates = certificates }
  if more.servers then more.server = nil end
  more.text = ("_smtp._tls.mx-%s TXT \"v=TLSRPTv1; rua=mailto:a@b.example\"\n%s"):format(label,
    more.text or "")
  world:host(label, more)
end

host("healthy", { tlsa(issued), tlsa(issuing, 2) }, { issued })
host("issued", { tlsa(issuing, 2), "2 1 1 " .. ("66"):rep(32) }, { issued })
host("coming", { tlsa(rsa), next_key }, { rsa })
host("full", { tlsa(rsa), next_key, stale }, { rsa })
host("alone", { tlsa(rsa) }, { rsa })
host("doubled", { tlsa(rsa), ca.tlsa(rsa, 3, 0, 1) }, { rsa })
host("changed", { next_key }, { rsa })
host("kinds", { tlsa(rsa), tlsa(issuing, 2) }, { rsa, ec })
host("addresses", { tlsa(rsa) }, nil, {
  servers = { { certificates = { rsa } }, { certificates = { other } } },
})
host("rootless", { tlsa(root, 2) }, { issued })
host("nothing", { tlsa(rsa), nothing }, { rsa })
for label, days in pairs { ending = 10, urgent = 2, ended = -0.5 } do
  local certificate = leaf(label, { to = days, issuer = issuing })
  host(label, { tlsa(issuing, 2), "2 1 1 " .. ("66"):rep(32) }, { certificate })
  host("keyed-" .. label, { tlsa(certificate), next_key, tlsa(issuing, 2) }, { certificate })
end
host("plain", { tlsa(rsa) }, nil, { server = { no_starttls = true } })
host("named", { tlsa(issuing, 2), ca.tlsa(issuing, 2, 0, 1) }, { issued })
host("later", { tlsa(rsa), next_key }, nil, { server = { greeting = "421 come back later" } })
host("imaps", {}, nil, { server = { certificates = { rsa }, implicit = true },
  text = ("_993._tcp.imaps TLSA %s\n_993._tcp.imaps TLSA %s\n_465._tcp.imaps TLSA %s\n"
    .. "_465._tcp.imaps TLSA %s"):format(tlsa(rsa), next_key, tlsa(rsa), stale) })
world:records("silent MX 10 healthy")
world:records("alias CNAME healthy\n_25._tcp.alias CNAME _25._tcp.healthy\nmx-alias MX 10 alias")
world:records("mixed MX 10 healthy\nmixed MX 0 .")
world:records("local MX 10 localhost.")
world:records("literal MX 10 healthy\nliteral MX 20 192.0.2.1.")

local function run(arguments)
  local words = { "--check", "--verify", "--connect-port", tostring(world.servers.port), "--helo", "c.test" }
  for _, word in ipairs(arguments) do words[#words + 1] = word end
  words[#words] = words[#words] .. ".vdoctor.example"
  return program.run(words)
end

-- The findings as "name severity"; the findings themselves; the result.
local function found(label, ...)
  local arguments = { "--json", ... }
  arguments[#arguments + 1] = label
  local r = run(arguments)
  assert(r.out ~= "", r.err)
  local object, names = cjson.decode(r.out), {}
  for i, finding in ipairs(object.findings) do names[i] = finding.name .. " " .. finding.severity end
  return names, object.findings, r
end

-- What is found of a host, which has one finding.
local function only(expected, label, ...)
  local names, list, r = found(label, ...)
  assert.same({ expected }, names)
  assert.equal(expected:find "hint$" and 0 or 1, r.status)
  assert.equal("string", type(list[1].cure))
  return list[1]
end

local function publish(label, record)
  return ("_25._tcp.%s.vdoctor.example. TLSA %s"):format(label, record)
end

describe("nexthop --check --verify", function()
  setup(function() world:start() end)
  teardown(function() world:stop() end)
  after_each(files.remove)

  it("finds nothing where all is well, and --quiet then prints nothing", function()
    local names, _, r = found "mx-healthy"
    assert.same({ {}, 0 }, { names, r.status })
    r = run { "mx-healthy" }
    assert.equal("ok    mx-healthy.vdoctor.example 10 healthy.vdoctor.example: dane, 2 usable TLSA records\n",
      r.out)
    r = run { "--quiet", "mx-healthy" }
    assert.same({ 0, "", "" }, { r.status, r.out, r.err })
    assert.same({}, (found "mx-issued"))
  end)

  it("takes a record that matches nothing for that of the next key, if there is one for each key", function()
    contains(only("stale-record hint", "mx-coming").text, "the record " .. next_key,
      "it is that of the next key")
    local names, list = found "mx-full"
    assert.same({ "stale-record warning", "stale-record warning" }, names)
    contains(list[1].text, "there are more of these than keys in use")
    assert.equal("", run({ "--quiet", "mx-coming" }).out)
  end)

  it("tells by their relation whether the records are enough for the next certificate", function()
    contains(only("not-prepared hint", "mx-alone").cure, "make the next key now")
    only("not-prepared hint", "mx-doubled")
  end)

  it("finds a certificate that no record matches, and the record to publish", function()
    local names, list = found "mx-changed"
    assert.same({ "uncovered-certificate error", "stale-record warning" }, names)
    assert.equal(publish("changed", tlsa(rsa)), list[1].record)
    contains(run({ "mx-changed" }).out,
      "fail  changed.vdoctor.example: uncovered-certificate: the server at 127.78.",
      "      publish    " .. publish("changed", tlsa(rsa)) .. "\n")
  end)

  it("finds kinds of keys and addresses that differ", function()
    local names, list = found "mx-kinds"
    assert.same({ "root-not-sent error", "key-kinds-differ error" }, names)
    assert.equal(publish("kinds", tlsa(ec)), list[2].record)
    local finding = only("addresses-differ error", "mx-addresses")
    assert.equal(publish("addresses", tlsa(other)), finding.record)
    contains(finding.text, "the server at " .. world.hosts.addresses.addresses[2])
  end)

  it("finds the record of a root that is not sent", function()
    local finding = only("root-not-sent error", "mx-rootless", "--ca-file", root.file)
    contains(finding.text, tlsa(root, 2) .. " is that of the root ", "doc-root")
    assert.equal(publish("rootless", tlsa(issuing, 2)), finding.record)
    contains(only("root-not-sent error", "mx-rootless").text, "is that of an issuer")
  end)

  it("finds the digest of nothing, without connecting too", function()
    local names, list = found "mx-nothing"
    assert.equal("digest-of-nothing error", names[1])
    contains(list[1].text, nothing)
    local r = program.run { "--check", "mx-nothing.vdoctor.example" }
    assert.equal(1, r.status)
    contains(r.out, "digest-of-nothing")
  end)

  it("finds certificates that end soon, within --warning and --critical days, or have ended", function()
    only("certificate-expiring warning", "mx-ending")
    only("certificate-expiring error", "mx-urgent")
    only("certificate-expiring error", "mx-ending", "--critical", "12")
    assert.same({}, (found("mx-ending", "--warning", "7")))
    only("certificate-expired error", "mx-ended")
    only("certificate-expiring warning", "mx-issued", "--at", "+50d")
  end)

  it("hints at dates where a record of usage 3 makes them count for nobody but other senders", function()
    for label, name in pairs { ending = "expiring", urgent = "expiring", ended = "expired" } do
      local names, list, r = found("mx-keyed-" .. label)
      assert.same({ { "stale-record hint", ("certificate-%s hint"):format(name) }, 0 }, { names, r.status })
      contains(list[2].text, "dates do not count for the record 3 x x")
    end
    -- mail clients look at dates, whatever the record
    assert.equal("certificate-expiring error", (found("mx-imaps", "--port", "993", "--at", "+58d"))[1])
  end)

  it("names a failed connection by its result", function()
    only("starttls-not-supported error", "mx-plain")
    contains(only("certificate-host-mismatch error", "mx-named").cure,
      "let the CA issue a certificate for named.")
    only("greeting-refused error", "mx-later")
  end)

  it("finds faults of the MX records, and a hint where there is no TLSRPT record", function()
    contains(only("no-tlsrpt hint", "silent").record,
      "_smtp._tls.silent.vdoctor.example. TXT \"v=TLSRPTv1; rua=")
    local names, list = found "mx-alias"
    assert.equal("mx-is-alias warning", names[1])
    contains(list[1].text, "the MX of mx-alias.vdoctor.example is an alias of healthy.vdoctor.example")
    assert.equal("null-mx-with-others warning", (found "mixed")[1])
    names, list = found "literal"
    assert.equal("mx-is-address error", names[1])
    contains(list[1].text, "names the address 192.0.2.1")
  end)

  it("says nothing of what this machine presents, where a domain names localhost", function()
    local names = found "local"
    assert.same({ "reserved-name error", "no-tlsrpt hint" }, names)
  end)

  it("takes several ports in one run; 465 and 993 have TLS from the first byte", function()
    local _, list, r = found("mx-imaps", "--port", "465", "--port", "993")
    assert.same({ { "stale-record", 465 }, { "stale-record", 993 }, 0 },
      { { list[1].name, list[1].port }, { list[2].name, list[2].port }, r.status })
    contains(list[1].text, stale)
    contains(run({ "--port", "465", "--port", "993", "mx-imaps" }).out,
      "ok    mx-imaps.vdoctor.example 10 imaps.vdoctor.example port 993: dane, 2 usable TLSA records\n",
      "hint  imaps.vdoctor.example port 993: stale-record: ")
    assert.equal("greeting-refused error", (found("mx-later", "--port", "25", "--port", "587"))[1])
  end)

  it("ends with 64 on wrong usage", function()
    for wrong, why in pairs {
      ["--quiet"] = "--quiet needs --check", ["--authoritative"] = "--authoritative needs --check",
      ["--warning 3"] = "--warning needs --check", ["--check --quiet --json"] = "--quiet and --json",
      ["--check --smtps"] = "--smtps needs --verify", ["--check --verify --down"] = "--check and --down",
      ["--check --warning 3 --critical 4"] = "--critical is more than --warning",
      ["--check --warning x"] = "--warning: 'x' is no whole number",
      ["--check --port 25 --port 0"] = "--port: '0'",
    } do
      local words = {}
      for word in (wrong .. " x.example"):gmatch "%S+" do words[#words + 1] = word end
      local r = program.run(words)
      assert.same({ 64, "" }, { r.status, r.out }, wrong)
      contains(r.err, "nexthop: " .. why)
    end
  end)
end)

-- What live.judge says of a host that has these connections, and one TLSA record of usage 3.
local function judge(connections, options)
  local planned = { host = "mx.example", tlsa_base_domain = "mx.example" }
  local record = { usage = 3, selector = 1, match_type = 1, data = ("x"):rep(32) }
  local presented = { host = "mx.example", tls = "dane", connections = connections,
    records = { { record = record, matches = "leaf" }, { record = record, matches = "leaf" } } }
  options.port, options.at, options.warning, options.critical = 25, 1900000000, 14, 3
  local report = { hosts = { presented }, plan = { hosts = { planned }, sts = options.sts } }
  local list, names = live.judge(report, options), {}
  for i, finding in ipairs(list) do names[i] = finding.name .. " " .. finding.severity end
  return names, list
end

local function connection(ip, keys, more)
  local leaf_of_it = { subject = "CN=mx", key = "ec", not_after = 1900000000 + 86400, spki_sha256 = "aa",
    cert_sha256 = "bb" }
  local result = { ip = ip, port = 25, keys = keys, ok = true, dane = "verified",
    matched = { record = { usage = 3 }, depth = 0 }, tls = { chain = { leaf_of_it } } }
  for key, value in pairs(more or {}) do result[key] = value end
  return result
end

describe("the judgement of a report", function()
  local refused = { ok = false, dane = false, tls = false, result = "connect-failed", temporary = true,
    message = "2001:db8::1: Network is unreachable" }
  local function has_route(address) return not address:find ":" end

  it("takes dates seriously where a policy makes senders without DANE look at them", function()
    local list = { connection("192.0.2.1", "rsa") }
    assert.same({ "certificate-expiring hint" }, (judge(list, {})))
    assert.same({ "certificate-expiring hint" }, (judge(list, { sts = { mode = "testing" } })))
    assert.same({ "certificate-expiring error" }, (judge(list, { sts = { mode = "enforce" } })))
    -- for a plugin, too
    local function expiries(port, sts)
      local report = { plan = { sts = sts }, hosts = { { host = "mx.example", connections = list } } }
      return #outcome.expiries { ports = { { port = port, report = report } } }
    end
    assert.same({ 0, 1, 1 }, { expiries(25), expiries(993), expiries(25, { mode = "enforce" }) })
  end)

  it("hints at addresses to which this machine has no way, and judges by the others", function()
    local list = { connection("192.0.2.1", "rsa"), connection("192.0.2.1", "ecdsa"),
      connection("2001:db8::1", "rsa", refused), connection("2001:db8::1", "ecdsa", refused) }
    local names, found_there = judge(list, { has_route = has_route })
    assert.same({ "not-all-checked hint", "not-prepared hint", "certificate-expiring hint" },
      names)
    contains(found_there[1].text, "this machine has no way to 2001:db8::1")
    local known = {}
    local report = { hosts = { { host = "mx.example", connections = list } } }
    local state = { ports = { { report = report } }, findings = {} }
    for _, sample in ipairs(metrics.of("x.example", state, { at = 1, seconds = 1 }).samples) do
      if sample.labels.ip then known[#known + 1] = sample.labels.ip .. " " .. sample.value end
    end
    assert.same({ "192.0.2.1 1", "192.0.2.1 1" }, known)
    assert.same({ "connect-failed error", "certificate-expiring hint" }, (judge(list, {})))
  end)

  it("does not call a host well to which there is no way at all", function()
    assert.same({ "connect-failed error" },
      (judge({ connection("2001:db8::1", "rsa", refused) }, { has_route = has_route })))
  end)
end)

describe("the names of findings", function()
  it("are all described in the man page", function()
    local page = files.read "man/nexthop.1":gsub("\\%-", "-")
    for name in pairs(require("nexthop.doctor.findings").names) do
      assert(page:find("%f[%w]" .. name:gsub("%-", "%%-") .. "%f[^%w-]"), name)
    end
  end)
end)
