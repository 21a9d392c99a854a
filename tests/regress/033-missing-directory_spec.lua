-- A socket in a directory that is not there was "permission denied".
local servers = require "tests.support.server"
local filter = require "tests.support.filter"

it("nexthop-server says that the socket's directory is missing", function()
  local config = filter.config {}
  local text, status = servers.run("-l /nonexistent/nexthop.sock -c " .. config)
  os.remove(config)
  assert.equal("nexthop-server: /nonexistent/nexthop.sock: No such file or directory", text)
  assert.equal(1, status)
end)
