-- The option `assume`: a record counts as if it were published, where the zone answers.
local support = require "tests.support"
local lab = support.lab

local data = ("\171"):rep(32)

local function record(name, usage, bytes)
  return { name = name, usage = usage or 3, selector = 1, match_type = 1, data = bytes or data }
end

local function host_of(domain, list, options)
  options = options or {}
  options.assume = list
  return assert(support.resolver():plan(domain, options)).hosts[1]
end

describe("assume", function()
  before_each(function() lab:clear() end)

  it("gives a host without records the one that is to be published", function()
    assert.equal("may", host_of("nodane.example").tls)
    local host = host_of("nodane.example", { record "_25._tcp.mx.nodane.example" })
    assert.equal("dane", host.tls)
    assert.equal("3 1 1 " .. ("ab"):rep(32), tostring(host.records[1]))
    assert.equal(1, #host.records)
  end)

  it("adds to the records that are there, and adds none twice", function()
    local before = host_of "dane.example"
    local name = "_25._tcp." .. before.host
    local host = host_of("dane.example", { record(name), record(name:upper(), 3, before.records[1].data) })
    assert.equal(#before.records + 1, #host.records)
    assert.equal(before.records[1].data, host.records[1].data)
  end)

  it("counts for its port alone, and judges the record as any other", function()
    local list = { record "_25._tcp.mx.nodane.example" }
    assert.equal("may", host_of("nodane.example", list, { port = 465 }).tls)
    local host = host_of("nodane.example", { record("_25._tcp.mx.nodane.example", 1) })
    assert.equal("encrypt", host.tls)
    support.contains(host.unusable[1].reason, "PKIX-EE(1) is not for SMTP")
  end)

  it("changes nothing where the zone is not signed, or does not answer", function()
    assert.equal("may", host_of("insecure.example", { record "_25._tcp.mx.insecure.example" }).tls)
    lab:rule { name = "*.mx.nodane.example", action = "servfail" } -- `_tcp` too
    assert.equal("skip", host_of("nodane.example", { record "_25._tcp.mx.nodane.example" }).tls)
  end)

  it("is an option of gather_tlsa too", function()
    local found = assert(support.resolver():gather_tlsa("mx.nodane.example",
      { assume = { record "_25._tcp.mx.nodane.example" } }))
    assert.is_true(found.dane_required)
    assert.equal(1, #found.records)
  end)

  for what, case in pairs {
    ["no list"] = { 5, "bad option 'assume' (list of records expected, got 5)" },
    ["no record"] = { { 5 }, "bad option 'assume' (list of records expected)" },
    ["no owner"] = { { { data = "" } }, "bad option 'assume' (name: string expected)" },
    ["an owner that is no name"] = { { record "a..b" },
      "bad option 'assume' (name: the owner of the record expected)" },
    ["no usage"] = { { { name = "a.b", data = "" } },
      "bad option 'assume' (usage: integer from 0 to 255 expected)" },
    ["no data"] = { { { name = "a.b" } }, "bad option 'assume' (data: string expected)" },
  } do
    it("refuses " .. what, function()
      local resolver = support.resolver()
      local ok, message = pcall(resolver.plan, resolver, "nodane.example", { assume = case[1] })
      assert.is_false(ok)
      support.contains(message, case[2])
    end)
  end
end)
