-- Parts of `nexthop --rollover` that no real name server shows: signers that sign each answer anew, TTLs that
-- differ, records as text.
local rollover = require "nexthop.doctor.rollover"
local states = require "nexthop.doctor.states"
local tlsa_record = require "nexthop.doctor.tlsa_record"

local NOW = 1900000000

local function server(name, more)
  local state = { server = name, count = 1, ttl = 300,
    records = { { usage = 3, selector = 1, match_type = 1, data = "new" } },
    minimum = 60, refresh = 0, serial = 1, inception = NOW - 864000 }
  for key, value in pairs(more or {}) do state[key] = value end
  return state
end

local function judge(...)
  return rollover.judge({ sets = { { name = "_25._tcp.mx", servers = { ... } } } }, {
    now = NOW, accepts = function(records) return records[1].data == "new" end,
  })
end

describe("the judgement of a rollover", function()
  it("takes the longest TTL that a server has", function()
    local fresh = { inception = NOW }
    local verdict = judge(server("a", { inception = NOW, ttl = 7200 }), server("b", fresh))
    assert.same({ "WAIT", NOW + 7200, true }, { verdict.verdict, verdict.at, verdict.agreed })
  end)

  it("does not believe inceptions at the beginning of a week", function()
    local week = NOW - NOW % 604800 - 604800
    assert.same({ "WAIT", NOW + 300 }, { judge(server("a", { inception = week })).verdict,
      judge(server("a", { inception = week })).at })
    assert.equal("GO", judge(server("a", { inception = week + 1 })).verdict)
  end)

  it("tells signers that sign each answer anew, and waits with them", function()
    local before = { server "a", server("b", { inception = NOW - 90000 }) }
    assert.equal("GO", judge(before[1], before[2]).verdict)
    local function again(inception) return { server "a", server("b", { inception = inception }) } end
    assert.is_false(states.find_live_signers(before, again(NOW - 90000)))
    assert.is_true(states.find_live_signers(before, again(NOW - 89998)))
    assert.same({ NOW - 864000, nil }, { before[1].inception, before[2].inception })
    assert.equal(NOW + 300, judge(before[1], before[2]).at)
  end)

  it("waits where a server cannot be asked, and does not call that agreement", function()
    local verdict = judge(server "a", { server = "b", failed = "no answer in time" })
    assert.same({ "WAIT", NOW + 300 }, { verdict.verdict, verdict.at })
    assert.is_nil(verdict.agreed)
    assert.same({ "what b says of _25._tcp.mx is not known: no answer in time" }, verdict.reasons)
  end)

  it("says NO where the newer of two versions has lost the record", function()
    local gone = { records = { { usage = 3, selector = 1, match_type = 1, data = "old" } }, serial = 2 }
    assert.equal("NO", judge(server "a", server("b", gone)).verdict)
    gone.serial = 4294967295 -- older than 1 (RFC 1982)
    assert.equal("WAIT", judge(server "a", server("b", gone)).verdict)
  end)

  it("publishes with the parameters that are there", function()
    local function parameters(has_issuer, ...)
      local records, list = {}, {}
      for i, numbers in ipairs { ... } do
        records[i] = { usage = numbers[1], selector = numbers[2], match_type = numbers[3] }
      end
      for i, one in ipairs(rollover.parameters(records, has_issuer)) do
        list[i] = ("%d%d%d"):format(one.usage, one.selector, one.match_type)
      end
      return table.concat(list, " ")
    end
    assert.equal("311", parameters(true))
    assert.equal("312 301", parameters(true, { 3, 1, 2 }, { 2, 1, 1 }, { 3, 0, 1 }, { 3, 1, 2 }))
    assert.equal("201", parameters(true, { 2, 0, 1 }))
    assert.equal("311", parameters(false, { 2, 0, 1 }))
  end)
end)

describe("a TLSA record as text", function()
  it("is read as in a zone file", function()
    local expected = { usage = 3, selector = 1, match_type = 1, data = "\1\171" }
    expected.name = "_25._tcp.mx.example"
    for _, text in ipairs {
      "_25._tcp.mx.example TLSA 3 1 1 01ab", "_25._TCP.mx.example. 300 IN TLSA 3 1 1 ( 01\n\tAB )",
      "_25._tcp.mx.example in tlsa DANE-EE SPKI SHA2-256 01 ab",
    } do
      assert.same(expected, tlsa_record.parse(text), text)
    end
  end)

  for text, reason in pairs {
    [""] = "it does not begin with the name of the record",
    ["_25._tcp.mx.example A 192.0.2.1"] = "there is no TLSA behind the name",
    ["_25._tcp.mx.example TLSA 256 1 1 ab"] = "the usage is no number from 0 to 255",
    ["_25._tcp.mx.example TLSA 3 1"] = "the match_type is no number from 0 to 255",
    ["_25._tcp.mx.example TLSA 3 1 1"] = "the data is not an even number of hex digits",
    ["_25._tcp.mx.example TLSA 3 1 1 abc"] = "the data is not an even number of hex digits",
    ["_25._tcp.mx.example TLSA 3 1 1 zz"] = "the data is not an even number of hex digits",
  } do
    it("is refused: " .. text, function()
      assert.same({ nil, reason }, { tlsa_record.parse(text) })
    end)
  end
end)
