-- Names from a socket (what libuv and Node give a child as its standard input) were waited for with
-- everything else at a stand: who sends the next name after a result never got one.
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local uv = require "luv"

describe("names from a socket", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("may come one by one, each after a result", function()
    local input, output = uv.new_pipe(false), uv.new_pipe(false)
    local names, results, code = { "nodane.example", "nullmx.example" }, 0, nil
    local command = program.command({ "--json", "-f", "-" }):gsub("<'/dev/null'$", "") .. " 2>/dev/null"
    local process = assert(uv.spawn("/bin/sh", { args = { "-c", "exec " .. command },
      stdio = { input, output, 2 } }, function(status) code = status end))
    output:read_start(function(_, chunk)
      if not chunk then return end
      results = results + 1
      local name = table.remove(names, 1)
      if name then input:write(name .. "\n") else input:shutdown() end
    end)
    input:write "dane.example\n"
    local timer = uv.new_timer()
    timer:start(20000 * support.slow, 0, function() process:kill "sigkill" end)
    repeat uv.run "once" until code
    for _, handle in ipairs { timer, input, output, process } do handle:close() end
    uv.run "nowait"
    assert.same({ 3, 1 }, { results, code }) -- a null MX is permanent
  end)
end)
