-- Without lua-cjson (or a descriptor to load it with, at the first request) nexthop-server listened, -n
-- said that all was well, and no request was answered.
local child = require "tests.support.child"
local files = require "tests.support.files"

it("a server without lua-cjson says so at once", function()
  local text = child.run [[
    package.preload.cjson = function() error "gone" end
    local server, err = require("nexthop.server").new {
      resolver = { forward = "127.0.0.1", trust_anchor_file = false } }
    print(server, err.code, err.message)
  ]]
  files.remove()
  assert.matches("^nil\tconfig\tlua%-cjson is needed: .*gone", text)
end)
