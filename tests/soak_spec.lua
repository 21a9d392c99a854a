-- A short run of tests/soak/soak.lua: `make soak` is the long one.
local child = require "tests.support.child"

describe("under mixed load", function()
  it("module, filter, table and server keep their memory and descriptors", function()
    if (os.getenv "NEXTHOP_LUA" or ""):find "/results" then
      pending "memory is not what it is under a sanitizer or valgrind"
      return
    end
    local output, status = child.run(nil, { args = "tests/soak/soak.lua 12", timeout = 400 })
    print(output)
    assert.equal(0, status, output)
    local _, parts = output:gsub(" ok: ", "")
    assert.equal(9, parts, output)
  end)
end)
