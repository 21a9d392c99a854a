-- nexthop --check --authoritative: real name servers, each asked on its own, with a fault each.
local cjson = require "cjson"
local files = require "tests.support.files"
local name_servers = require "tests.support.name_servers"
local program = require "tests.support.program"
local support = require "tests.support"
local contains = support.contains
local lab = support.lab

local zone = "doctor.example"
local servers = name_servers.new(zone, 41)

local function records(more)
  return [[
@ MX 10 mx
mx A 192.0.2.77
mx AAAA 2001:db8::77
_25._tcp.mx TLSA 3 1 1 ]] .. ("ab"):rep(32)
    .. "\n_smtp._tls TXT \"v=TLSRPTv1; rua=mailto:a@doctor.example\"\n" .. (more or "")
end

local second = "_25._tcp.mx TLSA 3 1 1 " .. ("cd"):rep(32) .. "\n"

-- Runs the check of a domain, whose zone has these servers.
local function check(addresses, arguments, domain)
  local words = { "--anchor", lab.anchor_file, "--check", "--authoritative" }
  for parent, address in pairs(lab:stub()) do words[#words + 1] = "--stub=" .. parent .. "=" .. address end
  for _, address in ipairs(addresses) do
    words[#words + 1] = ("--stub=%s=%s"):format(domain or zone, address)
  end
  for _, word in ipairs(arguments or {}) do words[#words + 1] = word end
  words[#words + 1] = domain or zone
  return program.run(words, { bare = true })
end

-- The findings as "name severity", by JSON; and the first finding.
local function found(...)
  local r = check(...)
  assert(r.out ~= "", r.err)
  local object = cjson.decode(r.out)
  local names = {}
  for i, finding in ipairs(object.findings) do names[i] = finding.name .. " " .. finding.severity end
  return names, object.findings[1], r
end

local json = { "--json" }

describe("nexthop --check --authoritative", function()
  setup(function()
    lab:clear()
    lab:add_zones {
      { name = zone, text = records() },
      { name = "oldkey.example", text = records(), algorithm = 7 },
      { name = "olddigest.example", text = records(), digest = 1 },
    }
  end)
  teardown(function() lab:clear() end)
  after_each(function()
    lab:clear()
    servers:stop()
    files.remove()
  end)

  it("finds nothing where all is well, and --quiet then prints nothing", function()
    local addresses = { servers:serve { text = records() }, servers:serve { text = records() } }
    local r = check(addresses)
    assert.same({ 0, "", "ok    doctor.example 10 mx.doctor.example: dane, 1 usable TLSA record\n" },
      { r.status, r.err, r.out })
    r = check(addresses, { "--quiet" })
    assert.same({ 0, "", "" }, { r.status, r.err, r.out })
    local names, _, with_json = found(addresses, json)
    assert.same({ {}, 0 }, { names, with_json.status })
  end)

  it("finds a server that lags behind, and what it does not know yet", function()
    local first = servers:serve { serial = 4, text = records(second) }
    local late = servers:serve { serial = 3, text = records() }
    local r = check({ first, late }, { "--quiet" })
    assert.equal(1, r.status)
    contains(r.out, ("fail  doctor.example: lagging-server: the name server %s has serial 3 of the zone, and "
      .. "%s has 4: they differ in the TLSA of _25._tcp.mx.doctor.example\n"):format(late, first),
      "to do      see that it")
  end)

  it("only warns of one that lags behind without a difference for mail", function()
    local list = { servers:serve { serial = 1, text = records() },
      servers:serve { serial = 4294967295, text = records() } }
    local names, finding = found(list, json)
    assert.same({ "lagging-server warning" }, names)
    contains(finding.text, ("the name server %s has serial 4294967295 of the zone"):format(list[2]))
  end)

  it("answers as if all servers had the records of --assume", function()
    local first = servers:serve { serial = 4, text = records(second) }
    local late = servers:serve { serial = 3, text = records() }
    local assumed = "_25._tcp.mx.doctor.example. TLSA 3 1 1 " .. ("cd"):rep(32)
    local names, finding = found({ first, late }, { "--json", "--assume", assumed })
    assert.same({ "lagging-server warning" }, names)
    assert.is_nil(finding.text:find "differ")
    local other = assumed:gsub("cd", "ee")
    assert.same({ "lagging-server error" }, (found({ first, late }, { "--json", "--assume", other })))
    -- there is none at any server yet, and the TTL of the denial is not that of the record
    local bare = { servers:serve { text = (records():gsub("_25[^\n]*", "")), minimum = 60 } }
    local r = check(bare, { "--assume", assumed })
    assert.same({ 0, "ok    doctor.example 10 mx.doctor.example: dane, 1 usable TLSA record\n", "" },
      { r.status, r.out, r.err })
  end)

  it("finds servers that contradict each other", function()
    local addresses = { servers:serve { text = records() }, servers:serve { text = records(second) } }
    local names, finding = found(addresses, json)
    assert.same({ "contradicting-servers error" }, names)
    contains(finding.text, "differ in the TLSA of _25._tcp.mx.doctor.example, and both have serial 1")
  end)

  it("finds signatures that end within --critical days, and those that have ended", function()
    local soon = servers:serve { text = records(), days = 2 }
    local good = servers:serve { text = records() }
    local names, finding = found({ soon, good }, json)
    assert.same({ "signature-ending warning" }, names)
    contains(finding.text, "in 2.0 days at " .. soon)
    assert.same({}, (found({ soon, good }, { "--json", "--critical", "1" })))
    local plugin = check({ soon, good }, { "--format", "nagios", "--quiet" })
    assert.equal(1, plugin.status)
    contains(plugin.out, "NEXTHOP WARNING - doctor.example: signature-ending | ", " signature_days=2.0;3:\n")
    local page = check({ soon, good }, { "--format", "openmetrics" })
    local ends = page.out:match '\nnexthop_signature_expiry_timestamp_seconds{zone="doctor.example"} (%d+)\n'
    local left = (tonumber(ends) - os.time()) / 86400
    assert.is_true(left > 1.9 and left < 2.01, page.out)
    local late = servers:serve { text = records(), days = -3 }
    names, finding = found({ late, good }, json)
    assert.same({ "signature-expired error" }, names)
    contains(finding.text, " at " .. late)
  end)

  it("finds TTLs that are too short or too long", function()
    local text = records():gsub("_25._tcp.mx TLSA", "_25._tcp.mx 30 TLSA"):gsub("@ MX", "@ 172800 MX")
    local names, finding, r = found({ servers:serve { text = text } }, json)
    assert.same({ "ttl-out-of-range warning", "ttl-out-of-range warning" }, names)
    contains(finding.text, "the TTL of the MX of doctor.example is 172800 s")
    contains(r.out, "the TTL of the TLSA of _25._tcp.mx.doctor.example is 30 s")
    assert.equal(1, r.status)
  end)

  it("finds a server that is silent, and one that serves the zone without its signatures", function()
    local good, dead = servers:serve { text = records() }, servers:dead()
    local names, finding = found({ good, dead }, json)
    assert.same({ "server-silent warning" }, names)
    contains(finding.text, ("the name server %s "):format(dead))
    local bare = servers:serve { text = records(), signed = false }
    names, finding = found({ good, bare }, json)
    assert.same({ "bogus-server error" }, names)
    contains(finding.text, ("what the name server %s says of SOA of doctor.example fails"):format(bare))
  end)

  it("finds many NSEC3 iterations, and hints at few", function()
    assert.same({ "nsec3-iterations error" },
      (found({ servers:serve { text = records(), iterations = 60 } }, json)))
    local names, finding, r = found({ servers:serve { text = records(), iterations = 5 } }, json)
    assert.same({ { "nsec3-iterations hint" }, 0 }, { names, r.status })
    assert.equal("the zone is signed with 5 NSEC3 iterations", finding.text)
    finding = select(2, found({ servers:serve { text = records(), iterations = 1 } }, json))
    assert.equal("the zone is signed with 1 NSEC3 iteration", finding.text)
    assert.same({}, (found({ servers:serve { text = records(), iterations = 0 } }, json)))
  end)

  it("finds an empty name that is answered with NXDOMAIN", function()
    lab:rule { name = "_tcp.mx.doctor.example", type = "A", action = "denied" }
    local good = servers:serve { text = records() }
    local names, finding = found({ lab.address }, json)
    assert.same({ "tcp-nxdomain error" }, names)
    contains(finding.text, "the name _tcp.mx.doctor.example has a TLSA record below it, and is answered with "
      .. "NXDOMAIN: ")
    assert.same({}, (found({ good }, json)))
  end)

  it("finds a DS without a key, and the DS to publish", function()
    local names, finding = found({ lab.address }, json, "wrongds.example")
    assert.same({ "bogus-answers error", "ds-without-key error" }, names)
    local r = check({ lab.address }, nil, "wrongds.example")
    local key = files.read(lab.folder .. "/wrongds.example.key"):match "%S+"
    local tag, digest = files.read(("%s/%s.ds"):format(lab.folder, key)):match "DS%s+(%d+)%s+13%s+2%s+(%x+)"
    contains(r.out, ("publish    wrongds.example. DS %s 13 2 %s\n"):format(tag, digest))
    assert.is_nil(finding.record)
  end)

  it("finds what is made with SHA-1", function()
    local _, _, r = found({ lab.address }, json, "oldkey.example")
    contains(r.out, "the zone has keys of algorithm 7, which is made with SHA-1", '"sha1-algorithm"')
    _, _, r = found({ lab.address }, json, "olddigest.example")
    contains(r.out, "the zone above has a DS of digest type 1 (SHA-1) for the zone", '"sha1-algorithm"')
  end)

  it("says that the deadline came before all was looked at", function()
    local addresses = { servers:serve { text = records() }, servers:dead() }
    local _, _, r = found(addresses, { "--json", "--deadline", "1" })
    contains(r.out, '"not-all-checked"')
    assert.equal(1, r.status)
  end)
end)
