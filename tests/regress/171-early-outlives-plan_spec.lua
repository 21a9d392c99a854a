-- TLSA that are asked for before it is known whether they are needed were left under way when the plan had
-- its result from another name's: such a lookup outlived its plan, and the resolver, which it then touched.
local support = require "tests.support"
local lab = support.lab

describe("TLSA asked for early that turn out not to be needed", function()
  before_each(function()
    support.reset()
    lab:add_zones { { name = "early.example", text = ([[
@ MX 10 mx
mx CNAME target
target A 192.0.2.44
_25._tcp.target TLSA 3 1 1 %s
_25._tcp.mx TLSA 3 1 1 %s
]]):format(("ab"):rep(32), ("cd"):rep(32)) } }
    for _, name in ipairs { "_25._tcp.mx.early.example", "_tcp.mx.early.example" } do
      lab:rule { name = name, action = "silent" }
    end
  end)
  after_each(support.close)

  it("are given up with a blocking plan whose resolver another callback closes", function()
    local resolver = support.resolver()
    resolver:plan("early.example", function() resolver:close() end) -- both end at once
    assert.equal("dane", assert(resolver:plan "early.example").hosts[1].tls)
  end)
end)
