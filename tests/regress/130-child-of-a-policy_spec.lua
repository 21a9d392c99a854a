-- A program that a policy or a configuration started inherited smtpd's socket as its standard input and
-- output: what it printed was an answer of the filter, which ends smtpd, and what it read was lost.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

-- What the filter wrote must be its registration and answers, the log what its children printed.
local function check_lines(f)
  for _, line in ipairs(f.other) do assert.matches("^register|", line) end
  assert.is_true(#f.other > 0)
end

local commands = {
  ["prints"] = [[os.execute("echo about-" .. event.domain)]],
  ["reads"] = [[os.execute("cat; echo about-" .. event.domain .. " >&2")]],
  ["reads with io.popen"] = [[
    local pipe = io.popen("cat; echo about-" .. event.domain)
    io.stderr:write(pipe:read("*a"))
    pipe:close()]],
  ["is written to with io.popen"] = [[
    local pipe = io.popen("cat", "w")
    pipe:write("about-", event.domain, "\n")
    pipe:close()]],
  ["goes on in the background"] = [[
    os.execute("{ cat; echo about-" .. event.domain .. "; exec sleep 1000; } & echo $! >> " .. pids)]],
  ["closes and copies descriptors"] = [[
    os.execute("exec 0<&1; echo about-" .. event.domain .. "; exec 0<&- 1>&- 2>&-")]],
}

for _, stdio in ipairs { "socket", "pipes" } do
  describe("a program that a policy starts, smtpd on " .. stdio .. ",", function()
    for what, command in pairs(commands) do
      it(what .. " and does not disturb smtpd", function()
        local pids = files.new ""
        local f = filter.start { stdio = stdio, config = ([[
          local pids = %q
          return { resolver = resolver, policy = function(event) %s end }
        ]]):format(pids, command) }
        assert.equal("proceed", f:decide("mail-from", "a@filter.example", remote))
        f:logged "about%-filter.example\n"
        assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", remote))
        f:logged "about%-nullmx.example\n"
        assert.equal("proceed", f:decide("mail-from", "b@filter.example", remote))
        for pid in io.lines(pids) do os.execute("kill " .. pid) end
        assert.equal(0, f:finish())
        assert.equal(3, f.count)
        check_lines(f)
      end)
    end
  end)
end

describe("a configuration", function()
  it("that reads, prints and starts programs leaves the handshake alone", function()
    local f = filter.start { stdio = "socket", handshake = false, config = [[
      io.stderr:write("begun\n")
      os.execute("echo of a program; cat")
      io.stderr:write("read: ", tostring(io.read()), "\n")
      print("of print")
      return { resolver = resolver }
    ]] }
    f:send("config|smtpd-version|7.6.0", "config|ready")
    f:wait(function() return f.other[#f.other] == "register|ready" end)
    assert.matches("^reject|550 5%.7%.27 ", f:decide("mail-from", "a@nullmx.example", remote))
    assert.equal(0, f:finish())
    check_lines(f)
    assert.matches("begun\nof a program\nread: nil\nof print\n", f.log)
  end)

  it("that is only checked reads nothing", function()
    local path = filter.config 'print(io.read())\nreturn { resolver = resolver }'
    local f = filter.start { args = { "-n", "-c", path }, handshake = false }
    f:send "of whoever checks it"
    f:wait(function() return f.code and f.log_closed and f.closed end)
    os.remove(path)
    assert.same({ "nil", path .. ": configuration OK" }, f.other)
    assert.equal(0, f.code)
  end)
end)

describe("another filter's handler", function()
  it("may start programs, too", function()
    local f = filter.start { args = {}, stdio = "socket", program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("ehlo", function(request)
        os.execute("echo " .. request.parameter .. "; cat")
        request:proceed()
      end)
      filter:run()
    ]] }
    assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", "client.example")))
    assert.equal("proceed", f:answer("bbbb", f:ask("bbbb", "ehlo", "other.example")))
    assert.equal(0, f:finish())
    check_lines(f)
    assert.matches("client.example\nother.example\n", f.log)
  end)
end)
