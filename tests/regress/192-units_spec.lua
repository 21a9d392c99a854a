-- nexthop.service had no folder into which the server could write: `sts_cache` could not be used under it.
local read = require("tests.support.files").read

describe("nexthop.service", function()
  local unit = read "share/systemd/nexthop.service"

  it("has the folder that its manual names for sts_cache, and a purge removes it", function()
    local name = unit:match "\nStateDirectory=([^\n]+)"
    assert.equal("nexthop-server", name)
    for _, path in ipairs { "man/nexthop-server.8", "docs/server.md", "share/systemd/nexthop.service" } do
      assert.truthy(read(path):find("/var/lib/" .. name .. "/sts", 1, true), path)
    end
    assert.truthy(read "debian/nexthop.postrm":find(name, 1, true))
  end)

  it("has the time that the server needs at its end with the default deadline", function()
    local seconds = tonumber(unit:match "\nTimeoutStopSec=(%d+)")
    local resolver = { trust_anchor_file = false, forward = "127.0.0.1" }
    local server = assert(require("nexthop.server").new { resolver = resolver })
    assert.is_true(seconds > server.deadline + 1)
    server:close()
  end)
end)
