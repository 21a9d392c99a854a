-- With answers at hand there is always more to do, and the program did it by a timer of no time, which
-- libuv before 1.48 runs again and again before it looks at anything else: Ctrl-C and the progress bar
-- waited for the end of the file.
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

describe("a bulk run with answers at hand", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  local path
  before_each(function()
    local names = {}
    for number = 1, 60000 do -- one signed wildcard answers for all of them
      names[number] = number .. ".wild.example\n"
    end
    path = files.new(table.concat(names))
  end)

  it("stops at SIGINT, whatever is left to do", function()
    local r = program.run({ "--json", "-f", path }, { under = "timeout --preserve-status -s INT 2" })
    assert.equal(130, r.status)
    support.contains(r.err, "interrupted; ")
  end)

  it("shows how far it is", function()
    local shown = program.on_terminal({ "--json", "-f", path },
      { under = ("timeout --preserve-status -s INT %d sh -c 'exec \"$@\" >/dev/null' sh")
        :format(3 * support.slow) })
    local _, bars = shown:gsub("\r%[[#.]+%]", "")
    assert(bars > 2, bars .. " times the bar: " .. shown)
  end)
end)
