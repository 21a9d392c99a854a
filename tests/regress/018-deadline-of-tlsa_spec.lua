-- A host whose TLSA were not there at the plan's deadline said dane_required = false, where a lookup that
-- fails by itself says true.
local support = require "tests.support"
local lab = support.lab

describe("a host whose TLSA cannot be looked up", function()
  before_each(support.reset)
  after_each(support.close)

  it("may require DANE, whether the lookup fails or the plan's deadline comes first", function()
    for action, options in pairs { servfail = {}, silent = { deadline = 0.5 } } do
      lab:clear()
      lab:rule { name = "_25._tcp.mx1.dane.example", action = action }
      local resolver = support.resolver()
      assert(resolver:gather_ips "mx1.dane.example") -- its addresses are there at once
      local host = assert(resolver:plan("[mx1.dane.example]", options)).hosts[1]
      assert.equal("skip", host.tls)
      assert.equal("mx1.dane.example", host.tlsa_base_domain)
      assert.is_true(host.dane_required, action)
      assert.same({}, host.records)
      resolver:close()
    end
  end)
end)
