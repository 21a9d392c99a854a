-- nexthop-server with a socket that a service manager holds, as systemd does for nexthop.socket. Here the
-- test holds it, and starts the server anew whenever it has ended.
local cjson = require "cjson"
local testos = require "testos"
local uv = require "luv"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local lab = require("tests.lab.lab").shared()
local servers = require "tests.support.server"
local shell = require "tests.support.shell"
local support = require "tests.support"

local under = os.getenv "UNDER"

describe("nexthop-server with a passed socket", function()
  local path, fd
  setup(filter.prepare)
  before_each(function()
    support.reset()
    path = servers.path()
    fd = testos.listen(path)
  end)
  after_each(function()
    lab:clear()
    uv.fs_close(fd)
    files.remove()
    uv.run "nowait" -- luv must not be left with handles that are half closed
    uv.run "nowait"
  end)

  -- Ends a server, but leaves the socket's file.
  local function finish(server, signal)
    server.handle:kill(signal or "sigterm")
    servers.wait_for("the server's end", function() return server.status end)
    server.handle:close()
    os.remove(server.config)
    return server.status, server.signal
  end

  it("answers there, with -l and without, and leaves the file as it is", function()
    assert(uv.fs_chmod(path, 384))
    local inode = uv.fs_stat(path).ino
    for _, given in ipairs { false, path } do
      local server = servers.start({}, path, { fd = fd, path = given or nil })
      assert.matches("listening on " .. path, server.said, 1, true)
      local c = server:connect()
      c:send { id = 1, op = "sender", domain = "nullmx.example" }
      assert.equal("null_mx", c:receive().result.finding)
      c:close()
      assert.same({ 0, 0 }, { finish(server) })
      local stat = uv.fs_stat(path)
      assert.same({ inode, 384 }, { stat.ino, stat.mode % 512 })
    end
  end)

  it("refuses what is no such socket, and says so", function()
    local function said(passed)
      local ok, err = pcall(servers.start, {}, path, passed)
      assert.is_false(ok)
      return tostring(err)
    end
    assert.matches("the socket that was passed is " .. path, said { fd = fd, path = "/another" }, 1, true)
    assert.matches("the socket of the service manager: ", said { fd = fd, count = 2 }, 1, true)
    assert.matches("the socket of the service manager: ", said { fd = 2 }, 1, true)
    assert.matches("-l socket is missing", said { fd = fd, count = 0 }, 1, true)
  end)

  it("keeps it from the programs that a configuration starts", function()
    local seen = files.new()
    local config = ("os.execute([[(echo \"$LISTEN_PID$LISTEN_FDS$LISTEN_FDNAMES.\"; "
      .. "ls -l /proc/self/fd | grep -c 'socket:') >%s 2>/dev/null]]) return {}"):format(seen)
    local server = servers.start(config, path, { fd = fd })
    assert.equal(".\n0\n", files.read(seen))
    finish(server)
  end)

  it("answers at its end a client that has just connected, and leaves later ones to the next", function()
    local first = servers.start({}, path, { fd = fd })
    local early = first:connect()
    early:send { id = 1, op = "stats" }
    assert.equal(1, early:receive().id)
    local idle = first:connect()
    early:send { id = 2, op = "stats" }
    assert.equal(2, early:receive().result.open) -- it has been taken
    first.handle:kill "sigterm"
    assert.is_nil(early:receive()) -- it has been answered before
    local late = first:connect()
    late:send { id = 1, op = "sender", domain = "nullmx.example" }
    idle:send { id = 1, op = "sender", domain = "nothing.example" }
    assert.equal("no_host", idle:receive().result.finding)
    assert.is_nil(idle:receive())
    servers.wait_for("the first one's end", function() return first.status end)
    local second = servers.start({}, path, { fd = fd })
    assert.equal("null_mx", late:receive().result.finding)
    for _, c in ipairs { early, idle, late } do c:close() end
    finish(second)
    first.handle:close()
  end)

  it("loses nothing when it is restarted again and again under load", function()
    local restarts, at_once = under and 3 or 20, 40
    local config = { deadline = 10 }
    local sent, answered, wrong, is_over = 0, 0, {}, false
    local server, restarted = servers.start(config, path, { fd = fd }), 0

    -- a client as the plugin of rspamd is one: a connection for each message
    local function ask()
      if is_over then return end
      sent = sent + 1
      local number, pipe, input = sent, uv.new_pipe(false), ""
      -- every fourth is in no cache
      local domain = number % 4 == 0 and ("n%d.example"):format(number) or "nullmx.example"
      local function over(what)
        pipe:close()
        if what then wrong[#wrong + 1] = ("%d: %s"):format(number, what) end
        answered = answered + 1
        ask()
      end
      pipe:connect(path, function(err)
        if err then return over(err) end
        pipe:write(cjson.encode { id = number, op = "sender", domain = domain } .. "\n")
        pipe:read_start(function(failed, chunk)
          if not chunk then return over(failed or "closed without an answer") end
          input = input .. chunk
          if not input:find "\n" then return end
          local answer = cjson.decode(input)
          local expected = number % 4 == 0 and "no_host" or "null_mx"
          if answer.id ~= number or answer.result.finding ~= expected then return over(input) end
          over()
        end)
      end)
    end
    for _ = 1, at_once do ask() end
    while restarted < restarts do
      local before = answered
      servers.wait_for("answers", function() return answered >= before + 100 end, 60)
      server.handle:kill "sigterm"
      servers.wait_for("the server's end", function() return server.status end, 30)
      assert.equal(0, server.status)
      server.handle:close()
      os.remove(server.config)
      server, restarted = servers.start(config, path, { fd = fd }), restarted + 1
    end
    is_over = true
    servers.wait_for("the last answers", function() return answered == sent end, 60)
    assert.same({}, wrong)
    assert(answered >= restarts * 100)
    finish(server)
    print(("%d requests over %d restarts: all answered"):format(answered, restarts))
  end)

  it("has units that systemd accepts", function()
    if shell.run "command -v systemd-analyze" == "" then return pending "systemd-analyze is not installed" end
    local folder = files.folder()
    for _, unit in ipairs { "nexthop.service", "nexthop.socket" } do
      -- the program and its configuration are not installed here
      local text = files.read("share/systemd/" .. unit):gsub("=nexthop%-server [^\n]*", "=/bin/true")
      files.write(folder .. "/" .. unit, text)
    end
    local said = shell.run(("cd %s && systemd-analyze verify --man=no ./nexthop.socket ./nexthop.service "
      .. "2>&1 | grep nexthop"):format(folder))
    assert.equal("", said)
  end)
end)
