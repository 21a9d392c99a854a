-- table-nexthop with a nexthop-server behind it, which may be slow, away, stopped, or something else.
local filter = require "tests.support.filter"
local servers = require "tests.support.server"
local tables = require "tests.support.table"
local uv = require "luv"
local lab = require("tests.lab.lab").shared()

local server, closers
setup(filter.prepare)
before_each(function() closers = {} end)
after_each(function()
  if server then server:finish "sigkill" end
  server = nil
  tables.reset()
  for _, close in ipairs(closers) do close() end
  uv.run "nowait"
end)

-- Asks until it is the answer that is expected: the first one may come when the lookup has taken too long.
local function eventually(t, domain, expected)
  local answer
  t:wait(function()
    answer = t:check(domain)
    return answer == expected
  end)
end

-- A server at a socket that does with each connection what it is told; returns the socket's path.
local function fake(behave)
  local path, pipe, connections = servers.path(), uv.new_pipe(false), {}
  assert(pipe:bind(path))
  pipe:listen(16, function()
    local connection = uv.new_pipe(false)
    pipe:accept(connection)
    connections[#connections + 1] = connection
    behave(connection)
  end)
  closers[#closers + 1] = function()
    pipe:close()
    for _, connection in ipairs(connections) do
      if not connection:is_closing() then connection:close() end
    end
    os.remove(path)
  end
  return path
end

describe("a table with a server behind it", function()
  it("asks it, with a socket as its argument", function()
    server = servers.start { exclude = { "filter.example" } }
    local t = tables.start { args = { server.path } }
    eventually(t, "dane.example", "found")
    eventually(t, "nodane.example", "not-found")
    eventually(t, "nullmx.example", "not-found")
    assert.equal("not-found", t:check "filter.example")
    assert.matches("^error|.*broken%.example", t:check "broken.example")
    assert.equal(0, t:finish())
  end)

  it("asks it, with a socket in its configuration, and has the rest of that", function()
    server = servers.start {}
    local t = tables.start { config = ([[
      return { socket = %q, deadline = 5, exclude = { "filter.example" }, rule = function(event)
        if event.domain == "nodane.filter.example" then
          return event.finding == "no_dane" and #event.result.hosts == 1
        end
      end }
    ]]):format(server.path) }
    assert.equal("found", t:check "dane.example")
    assert.equal("found", t:check "nodane.filter.example")
    assert.equal("not-found", t:check "filter.example")
    assert.equal(0, t:finish())
  end)

  it("registers without it, says so, and finds it when it comes", function()
    local path = servers.path()
    local t = tables.start { args = { path } }
    assert.matches("^error|dane%.example: nexthop%-server: .*ENOENT", t:check "dane.example")
    assert.equal("ok", t:update())
    server = servers.start({}, path)
    eventually(t, "dane.example", "found")
    assert.equal(0, t:finish())
  end)

  it("survives that it is killed and comes back", function()
    server = servers.start {}
    local path = server.path
    local t = tables.start { args = { path } }
    eventually(t, "dane.example", "found")
    for _ = 1, 3 do
      server:finish "sigkill"
      server = nil
      assert.matches("^error|dane%.example: nexthop%-server: ", t:check "dane.example")
      server = servers.start({}, path)
      eventually(t, "dane.example", "found")
    end
    assert.equal(0, t:finish())
  end)

  it("asks the new server at once when the old one has gone between two questions", function()
    server = servers.start {}
    local path = server.path
    local t = tables.start { args = { path } }
    eventually(t, "dane.example", "found")
    server:finish "sigterm"
    server = servers.start({}, path)
    local c = server:connect() -- its cache is made warm, so that the first answer comes in time
    c:send { id = 1, op = "plan", domain = "dane.example" }
    assert.equal("dane", c:receive().result.hosts[1].tls)
    c:close()
    assert.equal("found", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  it("answers at its deadline while the server is stopped, and is well when it goes on", function()
    server = servers.start {}
    local t = tables.start { config = ("return { socket = %q, deadline = 0.1 }"):format(server.path) }
    eventually(t, "dane.example", "found")
    uv.kill(server.pid, "sigstop")
    for _ = 1, 5 do
      -- one that was not asked before: what a late answer says would count
      assert.equal("error|alias.example: no answer within 0.1 s", t:check "alias.example")
    end
    uv.kill(server.pid, "sigcont")
    eventually(t, "dane.example", "found")
    assert.equal(0, t:finish())
  end)

  it("answers at its deadline while the server waits for a silent name server", function()
    server = servers.start {}
    local t = tables.start { config = ("return { socket = %q, deadline = 0.1 }"):format(server.path) }
    lab:rule { name = "dane.example", action = "silent" }
    assert.equal("error|dane.example: no answer within 0.1 s", t:check "dane.example")
    assert.equal(0, t:finish())
  end)

  for name, text in pairs {
    ["an answer to nothing"] = '{"id":99,"result":{}}\n',
    ["no JSON"] = "HTTP/1.1 400 Bad Request\r\n\r\n",
    ["an answer without an id"] = '{"error":{"code":"bad_request","message":"no"}}\n',
    ["a result that is no object"] = '{"id":1,"result":5}\n',
    ["a result that is empty"] = '{"id":1,"result":{}}\n',
    ["a plan without hosts"] = '{"id":1,"result":{"finding":"dane","plan":{"domain":"x"}}}\n',
    ["a plan whose hosts are text"] = '{"id":1,"result":{"finding":"dane","plan":{"hosts":"mx"}}}\n',
    ["a plan whose hosts are numbers"] = '{"id":1,"result":{"finding":"dane","plan":{"hosts":[1,2]}}}\n',
    ["an error without a message"] = '{"id":1,"error":{}}\n',
    ["an error that is a number, to nobody"] = '{"error":5}\n',
    ["a plan with an empty list of hosts"] = '{"id":1,"result":{"finding":"dane","plan":{"hosts":[]}}}\n',
    ["an error whose message is a list"] = '{"id":1,"error":{"code":[],"message":[1]}}\n',
    ["bytes"] = "\0\255\n",
    ["the end"] = "",
  } do
    it("survives a server that says " .. name, function()
      local path = fake(function(connection)
        connection:read_start(function(_, chunk)
          if not chunk then return end
          connection:write(text)
          if text == "" then connection:close() end
        end)
      end)
      local t = tables.start { config = ("return { socket = %q, deadline = 0.2 }"):format(path) }
      for _ = 1, 3 do assert.equal("error|", t:check("dane.example"):sub(1, 6)) end
      assert.equal(0, t:finish())
    end)
  end

  it("survives a server whose answer has no end", function()
    local path = fake(function(connection)
      local function more(err)
        if not err and not connection:is_closing() then connection:write(("x"):rep(65536), more) end
      end
      connection:read_start(function(_, chunk) if chunk then more() end end)
    end)
    local t = tables.start { config = ("return { socket = %q, deadline = 0.2 }"):format(path) }
    for _ = 1, 20 do assert.equal("error|", t:check("dane.example"):sub(1, 6)) end
    local status = assert(io.open(("/proc/%d/status"):format(t.pid)))
    local resident = tonumber(status:read "*a":match "VmRSS:%s+(%d+) kB")
    status:close()
    -- a sanitizer and valgrind keep memory of their own
    assert.is_true(resident < ((os.getenv "UNDER" or "") == "" and 150000 or 1500000), resident .. " KiB")
    assert.equal(0, t:finish())
  end)

  it("needs the path to be a socket's", function()
    local t = tables.start { config = [[return { socket = "/dev/null", deadline = 0.2 }]] }
    assert.matches("^error|dane%.example: nexthop%-server: ", t:check "dane.example")
    assert.equal(0, t:finish())
  end)
end)
