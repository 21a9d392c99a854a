-- Below a bogus alias the walk asks for a DNAME at each name above. A name above that is itself an alias
-- led to a DNAME elsewhere, which says nothing of the names below the alias: its status was taken for theirs.
-- With that DNAME in an unsigned zone, DANE was gone.
local support = require "tests.support"
local lab = support.lab

describe("a bogus host below a name that is an alias of one with a DNAME", function()
  before_each(function()
    support.reset()
    lab:add_zones {
      { name = "behind.example", text = ([[
@ MX 10 mx.a
a CNAME c.there.example.
mx.a A 192.0.2.45
_25._tcp.mx.a TLSA 3 1 1 %s
]]):format(("ab"):rep(32)) },
      { name = "there.example", signed = false,
        text = "c DNAME here.there.example.\nmx.here A 192.0.2.46\n" },
    }
  end)
  after_each(support.close)

  it("is a failure", function()
    assert.equal("dane", assert(support.resolver():plan "behind.example").hosts[1].tls)
    lab:rule { name = "mx.a.behind.example", action = "corrupt" }
    local resolver = support.resolver()
    local host = assert(resolver:plan "behind.example").hosts[1]
    assert.equal("skip", host.tls)
    assert.equal("bogus", host.err.code)
  end)
end)
