-- A domain that does not exist was a success of --destinations, since gather_destinations() leaves the
-- verdict to its caller.
local cjson = require "cjson"
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

describe("nexthop --destinations of a domain that does not exist", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("ends with 1", function()
    local r = program.run { "--destinations", "nothing.example" }
    assert.equal(1, r.status)
    support.contains(r.out, "nothing.example  does not exist (secure)")
    r = program.run { "--destinations", "--json", "dangling.example", "dane.example" }
    assert.equal(1, r.status)
    assert.is_true(cjson.decode(r.out:match("[^\n]+")).nxdomain)
    assert.equal(75, program.run({ "--destinations", "nothing.example", "broken.example" }).status)
    assert.equal(0, program.run({ "--destinations", "implicit.example" }).status)
  end)

  it("counts as failed", function()
    local r = program.run({ "--destinations", "-f", "-" }, { stdin = "nothing.example\ndane.example\n" })
    support.contains(r.err, "2 names: 1 failed (")
  end)
end)
