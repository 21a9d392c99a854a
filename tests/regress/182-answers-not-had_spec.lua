-- An answer that was not had read as one that says that all is well: as a zone that is not signed (GO of
-- --rollover), as a record or an address that is not there, as a host that presents what it is owed.
local audits = require "nexthop.programs.filter.audit"
local ca = require "tests.support.ca"
local doctor = require "nexthop.programs.nexthop.doctor"
local files = require "tests.support.files"
local formats = require "nexthop.programs.nexthop.formats"
local judge = require "nexthop.doctor.judge"
local metrics = require "nexthop.doctor.metrics"
local outcome = require "nexthop.doctor.outcome"
local rollover = require "nexthop.programs.nexthop.rollover"
local servers = require "nexthop.doctor.servers"
local states = require "nexthop.doctor.states"
local support = require "tests.support"
local uv = require "luv"
local zones = require "nexthop.doctor.zones"

local contains, lab = support.contains, support.lab
local unanswered = { code = "timeout", message = "no answer in time" }

local function all(_, list)
  for _, body in ipairs(list) do body() end
end

-- Calls a function while another one stands at a key of a module.
local function with(module, key, replaced, body)
  local own = module[key]
  module[key] = replaced(own)
  local ok, problem = pcall(body)
  module[key] = own
  assert(ok, problem)
end

local function names_of(findings)
  local names = {}
  for i, finding in ipairs(findings) do names[i] = finding.name .. " " .. finding.severity end
  return names
end

describe("--rollover", function()
  after_each(function() files.remove() end)

  -- What it says of a host of the lab which is signed, and whose record does not match.
  local function verdict()
    local said
    local program = { OK = 0, TEMPORARY = 75, FAILED = 1, complain = function() end,
      say = function(_, text) said = text end }
    local leaf = ca.leaf { name = "rollover-unanswered", names = { "mx1.dane.example" } }
    local status = rollover.run(program, { rollover = leaf.chain, names = { "mx1.dane.example" },
      ports = { 25 } }, lab:options())
    return status, said
  end

  it("does not say GO where the DS of the zone cannot be looked up", function()
    with(zones, "new", function(new)
      return function(ask, ...)
        return new(function(name, type)
          if type == "DS" then return nil, unanswered end
          return ask(name, type)
        end, ...)
      end
    end, function()
      local status, said = verdict()
      assert.equal(75, status, said)
      contains(said, "the DS of example cannot be looked up: no answer in time")
    end)
  end)

  local answer = { records = { "\3\1\1x" }, chain = { "_25._tcp.mx.z" }, ttl = 300, secure = true,
    signatures = { { covered = 52, inception = 1, original_ttl = 300 } } }
  local zone = { name = "z", secure = true, unknown = {}, why = {},
    servers = { { name = "ns", address = "192.0.2.1" } } }

  local function states_of()
    return states.of({ all = all }, zone, "_25._tcp.mx.z", "TLSA",
      { assumed = {}, is_usable = function() return true end })
  end

  it("does not believe a server whose SOA is not known, which bounds how late it may be", function()
    local function ask(_, type)
      if type == "SOA" then return nil, unanswered end
      return answer
    end
    with(servers, "visit", function()
      return function(_, _, _, _, _, visit)
        visit { text = function() return "ns" end, ask = ask }
        return true
      end
    end, function()
      assert.same({ { server = "ns", address = "192.0.2.1", failed = "no answer in time" } }, states_of())
    end)
  end)

  it("does not leave out a name server to which this machine has no way", function()
    with(servers, "visit", function() return function() return nil end end, function()
      assert.same({ { server = "ns", address = "192.0.2.1", failed = "this machine has no way to it" } },
        states_of())
    end)
  end)

  it("does not believe an inception if the server did not answer again", function()
    for _, after in ipairs { {}, { { server = "a", failed = "no answer in time" } } } do
      local before = { { server = "a", inception = 5 } }
      assert.is_true(states.find_live_signers(before, after))
      assert.is_nil(before[1].inception)
    end
  end)
end)

describe("--authoritative", function()
  -- A zone whose questions are answered by a table; what is not there cannot be looked up.
  local function zone_of(answers, options)
    local function ask(name, type)
      local records = answers[name .. " " .. type]
      if not records then return nil, unanswered end
      return { chain = { name }, records = records, secure = true }
    end
    return zones.new(ask, ask, function(list) all(nil, list) end, options or {}):of "z.example"
  end

  local function texts(zone, said)
    local list = judge.zone({ zone = zone, questions = {}, parents = {} }, said,
      { critical = 3, now = 1900000000 })
    local text = {}
    for i, finding in ipairs(list) do text[i] = finding.text end
    return table.concat(text, "\n"), names_of(list)
  end

  it("does not say that a name server has no address when that cannot be looked up", function()
    local zone = zone_of { ["z.example NS"] = { "ns" }, ["z.example DS"] = {}, ["ns A"] = {} }
    contains(texts(zone, {}), "the name server ns has addresses that cannot be looked up: no answer in time")
    zone = zone_of { ["z.example NS"] = { "ns" }, ["z.example DS"] = {}, ["ns A"] = {}, ["ns AAAA"] = {} }
    assert.equal("the name server ns has no address", (texts(zone, {})))
    zone = zone_of({ ["z.example NS"] = { "ns" }, ["z.example DS"] = {}, ["ns A"] = {} }, { network = "ip4" })
    local text, names = texts(zone, {})
    contains(text, "ns has no IPv4 address, and only those were asked for (-4)")
    assert.same({ "not-all-checked warning" }, names)
  end)

  it("says so when nothing is known of the signatures of a zone, or of the zone of a name", function()
    local zone = zone_of { ["z.example NS"] = { "ns" }, ["ns A"] = {}, ["ns AAAA"] = {} }
    contains(texts(zone, {}), "the DS of the zone cannot be looked up")
    local none, is_failed = zone_of {}
    assert.same({ nil, true }, { none, is_failed })
  end)

  local function server(more)
    local said = { server = { text = function() return "ns" end }, answers = {}, bogus = {}, denied = {},
      failed = {} }
    for key, value in pairs(more) do said[key] = value end
    return said
  end
  local plain = { name = "z.example", ds = {}, unknown = {}, why = {}, servers = {} }

  it("finds a server that answers for the zone, and not for a record in it", function()
    local question = { name = "mx.z.example", type = "A", key = "mx.z.example A", code = "servfail" }
    local text, names = texts(plain, { server { failed = { question } } })
    assert.equal("the name server ns refuses to answer, or fails when it is asked for the A of mx.z.example",
      text)
    assert.same({ "server-silent error" }, names)
    local answer = { records = { "x" }, chain = { "mx" }, ttl = 900 }
    local good = server { answers = { ["mx.z.example A"] = answer } }
    names = select(2, texts(plain, { server { failed = { question } }, good }))
    assert.same({ "server-silent warning" }, names)
  end)

  it("does not say that a key is not there when the keys cannot be looked up", function()
    local zone = { name = "z.example", ds = { "\0\1\13\2" .. ("x"):rep(32) }, unknown = {}, why = {},
      servers = {} }
    local failed = { name = "z.example", type = "DNSKEY", key = "z.example DNSKEY", code = "timeout" }
    assert.same({ "server-silent error" }, select(2, texts(zone, { server { failed = { failed } } })))
    local without = { ["z.example DNSKEY"] = { records = {}, chain = { "z.example" } } }
    assert.same({ "ds-without-key error" }, select(2, texts(zone, { server { answers = without } })))
  end)
end)

describe("--check", function()
  local planned = { host = "mx.z", tls = "dane", pref = 10, records = {}, unusable = {},
    ips = { "192.0.2.1" } }

  -- The findings about a domain that is well, if `verify` calls back with this.
  local function found(report, err)
    local state
    local resolver = {
      plan = function(_, _, _, done)
        done { domain = "z.example", expanded_next_hop = "z.example", have_mx = true, mx_authentic = true,
          hosts = { planned }, trace = {} }
      end,
      verify = function(_, _, _, done) done(report, err) end,
      _lookup = function(_, name, _, done) done { records = {}, chain = { name } } end,
    }
    doctor.lookup(resolver, { ports = { 25 }, verify = true, warning = 14, critical = 3 }, function() end)(
      "z.example", function(_, _, it) state = it end)
    local list = {}
    for _, finding in ipairs(state.findings) do
      if finding.name ~= "no-tlsrpt" then list[#list + 1] = finding end
    end
    return names_of(list), list[1]
  end

  it("finds hosts that were not connected to, as the lookups of --verify failed", function()
    local names, first = found(nil, { code = "servfail", message = "z.example: SERVFAIL" })
    assert.same({ "not-all-checked error" }, names)
    assert.same({ "mx.z", "there was no connection to it: z.example: SERVFAIL" },
      { first.subject, first.text })
    local failed = { host = "mx.z", tls = "skip", ok = false, connections = {},
      err = { code = "timeout", message = "mx.z: timeout" } }
    names, first = found { hosts = { failed }, plan = { hosts = { planned } } }
    assert.same({ "not-all-checked error" }, names)
    contains(first.text, "mx.z: timeout")
    assert.same({ "not-all-checked error" }, (found({ hosts = {}, plan = { hosts = {} } })))
  end)

  local leaf = { subject = "CN=mx", key = "rsa", not_after = 2000000000, spki_sha256 = "a",
    cert_sha256 = "b" }
  local function state_of(connection)
    local record = { usage = 3, selector = 1, match_type = 1, data = "x" }
    local host = { host = "mx.z", connections = { connection }, records = { { record = record,
      matches = "none" } } }
    return { ports = { { port = 25, plan = { hosts = {} }, report = { hosts = { host }, plan = {} } } },
      findings = {} }
  end

  it("is CRITICAL for a plugin if the certificate of an issuer alone has ended", function()
    local state = state_of { ok = false, ip = "192.0.2.1", keys = "rsa", result = "certificate-expired",
      tls = { chain = { leaf } } }
    state.findings[1] = { name = "certificate-expired", severity = "error", subject = "mx.z", port = 25 }
    local list = outcome.problems(state, { at = 1900000000, warning = 14, critical = 3 })
    assert.same({ outcome.CRITICAL, "mx.z: certificate-expired" }, { list[1].status, list[1].text })
    list = outcome.problems(state, { at = 2000086400, warning = 14, critical = 3 })
    assert.same({ 1, "mx.z: its certificate ended 1.0 days ago" }, { #list, list[1].text })
  end)

  it("has no metric of a record where no certificate was seen", function()
    local function has_record(connection)
      for _, sample in ipairs(metrics.of("z", state_of(connection), { at = 1, seconds = 1 }).samples) do
        if sample.name == "nexthop_tlsa_matches" then return true end
      end
      return false
    end
    assert.is_false(has_record { ok = false, ip = "192.0.2.1", keys = "rsa", result = "timeout" })
    assert.is_true(has_record { ok = false, ip = "192.0.2.1", keys = "rsa", tls = { chain = { leaf } } })
  end)

  it("is UNKNOWN for a plugin where a list has no domain", function()
    local text, status = formats.new({ format = "nagios", warning = 14, critical = 3 }):finish(false)
    assert.same({ "NEXTHOP UNKNOWN - there is no domain to check\n", 3 }, { text, status })
  end)
end)

describe("the audit of outgoing mail", function()
  it("does not say that every host is owed TLS where one could not be looked up", function()
    local function kind(hosts, truncated)
      local handlers, counts = {}, nil
      local plan = { domain = "z.example", hosts = hosts, truncated = truncated }
      local log = { line = function(_, fields) counts = fields end }
      local filter = { log = log, on_outgoing = function(_, event, handler) handlers[event] = handler end }
      local supervisor = { plan = function(_, _, _, done)
        done(plan)
        return {}
      end }
      local audit = audits.new(filter, supervisor, { exclude = function() return false end, deadline = 5 })
      local session = { id = "1", destination = "8.8.8.8:25", attempts = 1 }
      handlers["tx-rcpt"] { result = "ok", address = "a@z.example", session = session }
      handlers["tx-commit"] { session = session, message_id = "1" }
      audit:close()
      uv.run "nowait" -- what was closed is gone before Lua is
      return counts.less_tls_than_owed == 1 and "less" or counts.not_known == 1 and "unknown"
    end
    local dane = { host = "a", tls = "dane", ips = { "192.0.2.1" } }
    local function failed(code) return { host = "b", tls = "skip", ips = {}, err = { code = code } } end
    assert.equal("less", kind { dane })
    assert.equal("less", kind { dane, failed "not_found" })
    assert.equal("unknown", kind { dane, failed "servfail" })
    assert.equal("unknown", kind({ dane }, 3))
  end)
end)
