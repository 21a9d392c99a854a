-- The last alias of a chain that is given up, and what is no alias at all, were said to lead to the host's
-- or domain's name; an answer of aliases alone was said to be "0 records".
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

describe("nexthop --explain of a name that fails", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  local function told(name, ...)
    local out = program.run({ "--explain", name }).out
    support.contains(out, ...)
    return out
  end

  it("invents no target of an alias", function()
    told("[tloop1.example]", "CNAME of _25._tcp.tloop1.example: one more alias (secure)")
    told("mx-h12.example", "CNAME of h12-10.example: an alias that leads to h12-11.example (secure)",
      "CNAME of h12-11.example: one more alias (secure)")
    told("loop2.example", "CNAME of loop2.example: an alias that leads to loop2b.example (secure)",
      "CNAME of loop2b.example: one more alias (secure)")
    local out = told("mx-t11.example", "CNAME of t11-10.example: one more alias (secure)")
    assert.is_nil(out:find("0 records", 1, true))
  end)

  it("takes no record for an alias", function()
    told("mx-bogustlsa.example", "CNAME of _25._tcp.bogustlsa.example: no alias (secure)")
    told("mx-bogusboth.example", "CNAME of bogusboth.example: no alias (secure)")
  end)
end)
