-- The program opened its standard input and output anew, and where that was a FIFO that the other side had
-- closed meanwhile it waited for ever for the next to open it.
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"

describe("a FIFO whose other side has left", function()
  local fifo

  setup(function()
    program.lab = support.lab
  end)
  before_each(function()
    support.reset()
    fifo = files.path()
    assert(os.execute("mkfifo " .. fifo))
  end)
  after_each(function()
    files.remove()
  end)

  local limit = "timeout " .. 20 * support.slow

  -- Its writer is gone long before the program is loaded.
  local function names_come()
    assert(os.execute(("echo dane.example >%s &"):format(fifo)))
  end

  it("is read to its end, as standard input", function()
    names_come()
    local r = program.run({ "--json", "-f", "-" }, { input = fifo, under = limit })
    assert.equal(0, r.status)
    support.contains(r.out, '"domain":"dane.example"')
  end)

  it("is an output that nobody reads", function()
    assert(os.execute((": <%s &"):format(fifo)))
    local r = program.run({ "--json", "dane.example" },
      { under = ("%s sh -c 'exec \"$@\" >%s' sh"):format(limit, fifo) })
    assert.equal(141, r.status)
  end)
end)
