-- SIGPIPE ended the process of a nexthop.client whose server had gone since its last call, and that of
-- a nexthop.server that was not bin/nexthop-server.
local child = require "tests.support.child"
local files = require "tests.support.files"
local servers = require "tests.support.server"

describe("the other side of the socket is gone:", function()
  after_each(files.remove)

  it("a client that blocks goes on with the next server, or gets an error", function()
    local first, second = servers.start(), servers.start()
    local text, status = child.run([[
      local path, pid, next_path = ...
      local client = require("nexthop.client").new(path)
      local function kill(process) -- while no loop runs here
        os.execute("kill -9 " .. process .. "; while grep -qs 'State:.[^Z]' /proc/" .. process
          .. "/status; do sleep 0.01; done")
      end
      assert(client:stats())
      assert(os.rename(next_path, path))
      kill(pid)
      assert(client:stats())
      client:stats(function(result, err) print(result, err.code) end)
      client:close()
      io.stdout:flush()
      os.exit(0)
    ]], {}, first.path, first.pid, second.path)
    first:finish()
    second:finish()
    assert.equal("nil\tclosed\n", text)
    assert.equal(0, status)
  end)

  it("a client that does not block gets an error", function()
    local server = servers.start()
    local text, status = child.run([[
      local path, pid = ...
      local client = require("nexthop.client").new(path)
      assert(client:stats())
      os.execute("kill -9 " .. pid .. "; while grep -qs 'State:.[^Z]' /proc/" .. pid
        .. "/status; do sleep 0.01; done")
      local code
      client:stats(function(_, err) code = err.code end)
      while not code do require("luv").run "once" end
      print(code)
      io.stdout:flush()
      os.exit(0)
    ]], {}, server.path, server.pid)
    server:finish()
    assert.equal("closed\n", text)
    assert.equal(0, status)
  end)

  it("a server inside a process goes on", function()
    local text, status = child.run([[
      local path = ...
      local uv = require "luv"
      local server = assert(require("nexthop.server").new {
        resolver = { forward = "127.0.0.1", trust_anchor_file = false } })
      assert(server:listen(path))
      local pipe = uv.new_pipe(false)
      pipe:connect(path, function(err)
        assert(not err, err)
        pipe:write('{"id":1,"op":"stats"}\n')
        pipe:close()
      end)
      while server:stats().connections == 0 or server:stats().open > 0 do uv.run "once" end
      print(server:stats().answered)
      server:close()
      io.stdout:flush()
      os.exit(0)
    ]], {}, servers.path())
    assert.equal("1\n", text)
    assert.equal(0, status)
  end)
end)
