-- nexthop --tlsa gave the addresses the whole --deadline, and the TLSA records another.
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("nexthop --tlsa with a deadline", function()
  setup(function()
    program.lab = lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("has one for all of a host", function()
    local deadline = support.slow > 1 and 12 or 4 -- below a lookup's own time
    lab:rule { name = "mx1.dane.example", delay = 750 * deadline }
    lab:rule { name = "_25._tcp.mx1.dane.example", delay = 500 * deadline }
    local r = program.run({ "--tlsa", "--json", "--deadline", tostring(deadline), "mx1.dane.example" },
      { patient = true })
    assert.equal(75, r.status)
    support.contains(r.out, '"code":"timeout"')
    support.contains(r.out, "TLSA")
  end)
end)
