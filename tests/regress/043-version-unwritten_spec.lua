-- What --version and --help print was lost on a full disk, and the status was 0.
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

it("nexthop says so when --version or --help cannot be written", function()
  program.lab = support.lab
  for _, option in ipairs { "--version", "--help" } do
    local r = program.run({ option }, { bare = true, under = "sh -c 'exec \"$@\" >/dev/full' sh" })
    assert.equal(74, r.status)
    support.contains(r.err, "nexthop: standard output: ")
  end
  files.remove()
end)
