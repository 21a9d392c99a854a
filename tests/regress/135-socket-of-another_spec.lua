-- A nexthop-server whose socket was removed, and whose path a second one had taken, removed the second
-- one's socket when it ended.
local uv = require "luv"
local client = require "nexthop.client"
local servers = require "tests.support.server"
local filter = require "tests.support.filter"

setup(filter.prepare)

it("a server leaves a socket alone that another has put in the place of its own", function()
  local first = servers.start {}
  local path = first.path
  assert(os.remove(path))
  local second = servers.start({}, path)
  local file = uv.fs_lstat(path)
  first.handle:kill "sigterm"
  servers.wait_for("the first one's end", function() return first.status end)
  assert.equal(0, first.status)
  assert.equal(file.ino, (uv.fs_lstat(path) or {}).ino)
  local c = client.new(path)
  assert.equal("nullmx.example", (select(2, c:plan "nullmx.example")).domain)
  c:close()
  second.handle:kill "sigterm"
  servers.wait_for("the second one's end", function() return second.status end)
  assert.is_nil((uv.fs_lstat(path))) -- its own it does remove
  first:finish()
  second:finish()
end)
