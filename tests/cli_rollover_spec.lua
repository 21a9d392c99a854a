-- nexthop --rollover and --assume, on two real name servers of a signed zone, with certificates by openssl.
local ca = require "tests.support.ca"
local cjson = require "cjson"
local files = require "tests.support.files"
local name_servers = require "tests.support.name_servers"
local program = require "tests.support.program"
local support = require "tests.support"

local contains, lacks = support.contains, support.lacks

local zone = "roll.example"
local pair = name_servers.new(zone, 88)
local root, old, new

local function run(...)
  local words = pair:options()
  for _, word in ipairs { ... } do words[#words + 1] = word end
  return program.run(words, { bare = true })
end

local function rollover(...)
  return run("--rollover", new.chain, ...)
end

local function tlsa(...)
  local lines = {}
  for i, text in ipairs { ... } do lines[i] = "_25._tcp.mx TLSA " .. text end
  return table.concat(lines, "\n")
end

-- Has the name servers answer with versions of the zone, see name_servers.lua.
local function publish(...)
  for _, version in ipairs { ... } do
    if version then version.text = "mx A 192.0.2.1\n" .. version.text end
  end
  pair:publish(...)
end

local function seconds(text)
  local year, month, day, hour, min, sec = text:match "WAIT until (%d+)%-(%d+)%-(%d+)T(%d+):(%d+):(%d+)Z\n"
  assert(year, text)
  local now = os.time()
  local offset = os.time(os.date("*t", now)) - os.time(os.date("!*t", now))
  local fields = { year = year, month = month, day = day, hour = hour, min = min, sec = sec, isdst = false }
  return os.time(fields) + offset
end

setup(function()
  support.lab:clear()
  support.lab:add_zones { { name = zone, text = "mx A 192.0.2.1\n" } }
  root = ca.authority { name = "rollover-root" }
  local issuer = ca.authority { name = "rollover-issuer", issuer = root }
  old = ca.leaf { name = "rollover-old", issuer = issuer, names = { "mx.roll.example" } }
  new = ca.leaf { name = "rollover-new", issuer = issuer, names = { "mx.roll.example" } }
  new.issuer_certificate = issuer
end)
teardown(function()
  pair:stop()
  files.remove()
end)

describe("nexthop --rollover", function()
  it("says GO where both servers have had the record for ten days", function()
    publish { text = tlsa(ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1)) }
    local r = rollover "mx.roll.example"
    assert.equal("GO\n  mx.roll.example: GO: no sender can have TLSA records that refuse the new chain\n",
      r.out, r.err)
    assert.equal(0, r.status)
  end)

  it("says WAIT where the zone was signed a minute ago, until caches have forgotten", function()
    publish { text = tlsa(ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1)), age = 60 }
    local begun = os.time()
    local r = rollover "mx.roll.example"
    assert.equal(75, r.status, r.out .. r.err)
    local at = seconds(r.out)
    assert(at >= begun + 3600 and at <= os.time() + 3600, at - begun)
    contains(r.out, "senders may have in their caches what was at _25._tcp.mx.roll.example before",
      "TTL 3600 s")
  end)

  it("says GO an hour after a time since which the record is known to be there", function()
    local since = rollover("--since", "-3601s", "mx.roll.example")
    assert.equal(0, since.status, since.out .. since.err)
    local r = rollover("--since", "-3000s", "mx.roll.example")
    assert.equal(75, r.status, r.out .. r.err)
    assert(math.abs(seconds(r.out) - os.time() - 600) < 60, r.out)
  end)

  it("says NO and which record to publish, with the parameters that are there", function()
    publish { text = tlsa(ca.tlsa(old, 3, 1, 1), ca.tlsa(old, 3, 0, 2)) }
    local r = rollover "mx.roll.example"
    assert.equal(1, r.status, r.err)
    contains(r.out,
      ("NO, publish _25._tcp.mx.roll.example. IN TLSA %s first\n"):format(ca.tlsa(new, 3, 1, 1)),
      ("NO, publish _25._tcp.mx.roll.example. IN TLSA %s first\n"):format(ca.tlsa(new, 3, 0, 2)),
      "mx.roll.example: NO: no TLSA record at _25._tcp.mx.roll.example matches the new chain")
  end)

  it("answers as if the record had been there for long, with --assume", function()
    local record = "_25._tcp.mx.roll.example. 300 IN TLSA " .. ca.tlsa(new, 3, 1, 1)
    local r = rollover("--assume", record, "mx.roll.example")
    assert.equal("GO\n", r.out:match "^[^\n]*\n", r.err)
    -- a sender that knows SHA2-512 does not look at the weaker digest beside it
    local weaker = record:gsub("3 1 1 %x+", ca.tlsa(new, 3, 0, 1))
    local refused = rollover("--assume", weaker, "mx.roll.example")
    assert.equal(1, refused.status, refused.out)
    local elsewhere = rollover("--assume", (record:gsub("mx", "mx2")), "mx.roll.example")
    assert.equal(1, elsewhere.status)
    contains(elsewhere.err, "--assume: no TLSA records are looked for at _25._tcp.mx2.roll.example")
  end)

  it("says NO where the issuer of a usage 2 record is not in the chain, and GO where it is", function()
    publish { text = tlsa(ca.tlsa(new.issuer_certificate, 2, 1, 1)) }
    local alone = run("--rollover", new.file, "mx.roll.example")
    assert.equal(1, alone.status, alone.out .. alone.err)
    contains(alone.out, ("publish _25._tcp.mx.roll.example. IN TLSA %s first"):format(ca.tlsa(new, 3, 1, 1)))
    assert.equal(0, rollover("mx.roll.example").status)
  end)

  it("says WAIT where a server lags behind, and names it", function()
    publish({ text = tlsa(ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1)), serial = 2 },
      { text = tlsa(ca.tlsa(old, 3, 1, 1)) })
    local r = rollover "mx.roll.example"
    assert.equal(75, r.status, r.out .. r.err)
    contains(r.out, pair[2] .. " lags behind")
    lacks(r.out, pair[1] .. " lags")
  end)

  it("says WAIT where a server is silent", function()
    publish({ text = tlsa(ca.tlsa(new, 3, 1, 1)) }, false)
    local r = rollover("--timeout", "6", "mx.roll.example")
    assert.equal(75, r.status, r.out .. r.err)
    contains(r.out, ("what %s says of _25._tcp.mx.roll.example is not known"):format(pair[2]))
  end)

  it("says the worst of several hosts, as JSON too", function()
    publish { text = tlsa(ca.tlsa(new, 3, 1, 1)) .. "\nmx2 A 192.0.2.2\n_25._tcp.mx2 TLSA "
      .. ca.tlsa(old, 3, 1, 1) }
    assert.equal(0, rollover("mx.roll.example").status)
    local r = rollover("--json", "mx.roll.example", "MX2.roll.example.")
    assert.equal(1, r.status, r.err)
    local result = cjson.decode(r.out)
    assert.equal("NO", result.verdict)
    assert.equal("GO", result.hosts[1].verdict)
    assert.same({ ("_25._tcp.mx2.roll.example. IN TLSA %s"):format(ca.tlsa(new, 3, 1, 1)) },
      result.hosts[2].publish)
    assert.equal("mx2.roll.example", result.hosts[2].host)
  end)

  it("says the worst of several ports, and names them", function()
    publish { text = ("%s\n_465._tcp.mx TLSA %s"):format(tlsa(ca.tlsa(new, 3, 1, 1)), ca.tlsa(old, 3, 1, 1)) }
    local r = rollover("--port", "25", "--port", "465", "--port", "25", "mx.roll.example")
    assert.equal(1, r.status, r.err)
    contains(r.out,
      ("NO, publish _465._tcp.mx.roll.example. IN TLSA %s first\n"):format(ca.tlsa(new, 3, 1, 1)),
      "\n  mx.roll.example port 25: GO: ", "\n  mx.roll.example port 465: NO: ")
    r = rollover("--json", "--port", "465", "--port", "25", "mx.roll.example")
    assert.equal(2, #cjson.decode(r.out).hosts)
    assert.equal(0, rollover("--port", "25", "mx.roll.example").status)
  end)

  it("follows an alias of the TLSA name, and waits when it is new", function()
    local text = "_25._tcp.mx CNAME set\nset TLSA " .. ca.tlsa(new, 3, 1, 1)
    publish { text = text }
    assert.equal(0, rollover("mx.roll.example").status)
    publish { text = text, age = 60 }
    local r = rollover "mx.roll.example"
    assert.equal(75, r.status, r.out)
    contains(r.out, "another target of the alias _25._tcp.mx.roll.example")
  end)

  it("says GO for a host whose zone is not signed", function()
    local r = program.run { "--rollover", new.chain, "mx.insecure.example" }
    assert.equal(0, r.status, r.out .. r.err)
    contains(r.out, "it has no DANE")
  end)

  it("says NO for a host that does not exist", function()
    local r = rollover "gone.roll.example"
    assert.equal(1, r.status, r.out .. r.err)
    contains(r.out, "gone.roll.example: NO: ")
  end)

  it("refuses files without a certificate, and wrong words", function()
    for text, words in pairs {
      ["No such file"] = { "--rollover", "/nonexistent", "mx.roll.example" },
      ["there is no certificate in it"] = { "--rollover", new.key, "mx.roll.example" },
      ["missing argument"] = { "--rollover", new.chain },
      ["--since: 'soon' is no time"] = { "--rollover", new.chain, "--since", "soon", "mx.roll.example" },
      ["--since: '+1d' is still to come"] = { "--rollover", new.chain, "--since", "+1d", "mx.roll.example" },
      ["--since needs --rollover"] = { "--since", "-1d", "mx.roll.example" },
      ["there is no TLSA behind the name"] = { "--assume", "mx.roll.example MX 10 a", "roll.example" },
      ["--assume goes with a plan"] = { "--ips", "--assume", "_25._tcp.a TLSA 3 1 1 00", "roll.example" },
      ["--port may be repeated with --check, --rollover and --make-tlsa alone"] =
        { "--port", "25", "--port", "465", "roll.example" },
      ["--port: '0'"] = { "--rollover", new.chain, "--port", "0", "--port", "25", "mx.roll.example" },
      ["--check and --rollover do not go together"] = { "--check", "--rollover", new.chain, "roll.example" },
    } do
      local r = run((table.unpack or unpack)(words)) -- luacheck: ignore
      assert.equal(64, r.status, text .. r.out)
      contains(r.err, text)
    end
  end)
end)

describe("--assume", function()
  local record = "_25._tcp.mx.roll.example TLSA 3 1 1 " .. ("ab"):rep(32)

  it("makes a host dane in a plan, in --explain and in --check", function()
    publish { text = "" }
    assert.equal(1, run("--check", "[mx.roll.example]").status)
    local r = run("--check", "--assume", record, "[mx.roll.example]")
    assert.equal(0, r.status, r.out .. r.err)
    contains(run("--assume", record, "[mx.roll.example]").out, "3 1 1 " .. ("ab"):rep(32))
    contains(run("--explain", "--assume", record, "[mx.roll.example]").out,
      "dane: TLS, and the certificate must match")
  end)

  it("changes nothing at another name, and says so", function()
    for _, mode in ipairs { "--check", "--explain", "--json" } do
      local r = run(mode, "--assume", (record:gsub("mx", "mx2")), "[mx.roll.example]")
      assert.equal(mode == "--check" and 1 or 0, r.status)
      contains(r.err, "nexthop: --assume: no TLSA records are looked for at _25._tcp.mx2.roll.example\n")
      lacks(r.out, "trace")
      assert.equal("", run(mode, "--assume", record, "[mx.roll.example]").err)
    end
  end)

  it("counts where an alias leads", function()
    publish { text = "_25._tcp.mx CNAME set" }
    local r = run("--assume", record:gsub("_25._tcp.mx", "set"), "[mx.roll.example]")
    contains(r.out, "3 1 1 " .. ("ab"):rep(32))
    assert.equal("", r.err)
  end)
end)
