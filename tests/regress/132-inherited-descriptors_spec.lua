-- A program that a policy or a configuration started inherited the sockets of libunbound: it could read the
-- answers that came there, and kept them open.
local filter = require "tests.support.filter"
local servers = require "tests.support.server"
local lab = require("tests.lab.lab").shared()

setup(filter.prepare)
after_each(filter.reset)

-- Lua that logs what a program inherits beside 0 to 2 of sockets.
local list = [[os.execute "ls -l /proc/self/fd | grep -v ' [012] -> ' | grep socket: ; echo listed"]]

it("a program of a policy inherits no socket while lookups are under way", function()
  local f = filter.start { config = "return { resolver = resolver, policy = function() " .. list .. " end }" }
  lab:rule { name = "silent.example", action = "silent" }
  f:connect("aaaa", "192.0.2.9:1")
  f:ask("aaaa", "mail-from", "a@silent.example")
  lab:wait "silent.example"
  f:decide("mail-from", "a@nullmx.example", "192.0.2.9:1")
  f:logged "listed\n"
  assert.is_nil(f.log:match "[^\n]* socket:[^\n]*")
end)

it("a program of a server's configuration inherits none, of clients neither", function()
  local server = servers.start(([[
    require("luv").new_timer():start(200, 200, function() %s end)
    return { resolver = resolver }
  ]]):format(list))
  lab:rule { name = "silent.example", action = "silent" }
  local c = server:connect()
  c:send { id = 1, op = "plan", domain = "silent.example" }
  lab:wait "silent.example"
  local from = #server.said
  servers.wait_for("two lists", function() return server.said:find("listed\n.*listed\n", from) end)
  c:close()
  server:finish "sigkill"
  assert.is_nil(server.said:match "[^\n]* socket:[^\n]*")
end)
