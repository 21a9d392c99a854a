-- A socket, or another user's pipe, as standard output was written as it is: once its reader had stopped,
-- no signal but SIGKILL ended the program, and the lookups under way timed out.
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local uv = require "luv"

describe("standard output that is a socket", function()
  local output, process, status

  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(function()
    for _, handle in ipairs { output, process } do handle:close() end
    uv.run "nowait"
    files.remove()
  end)

  local function start(command)
    output, status = uv.new_pipe(false), nil
    process = assert(uv.spawn("/bin/sh", { args = { "-c", command }, stdio = { nil, output, 2 } },
      function(code, signal) status = { code, signal } end))
  end

  local function wait()
    local timer = uv.new_timer()
    timer:start(20000 * support.slow, 0, function() process:kill "sigkill" end)
    repeat uv.run "once" until status
    timer:close()
  end

  it("does not hold a second signal up when nobody reads", function()
    local names = {}
    for i = 1, 20000 do names[i] = i .. ".wild.example\n" end
    local file = files.new(table.concat(names))
    start("exec " .. program.command({ "--json", "-f", file }) .. " 2>/dev/null")
    local timer = uv.new_timer()
    timer:start(2000 * support.slow, 1000 * support.slow, function() process:kill "sigint" end)
    wait()
    timer:close()
    assert.same({ 130, 0 }, status)
  end)

  it("is afterwards as it was", function()
    start(program.command({ "--json", "dane.example" }) .. "; grep flags /proc/$$/fdinfo/1")
    local text = ""
    output:read_start(function(_, chunk) text = text .. (chunk or "") end)
    wait()
    uv.run "nowait"
    support.contains(text, '"domain":"dane.example"')
    assert.equal(0, math.floor(tonumber(text:match "flags:%s*(%d+)", 8) / 2048) % 2) -- O_NONBLOCK
  end)
end)
