-- Policies of MTA-STS: fetched, known, in a file, refused, given up.
local core = require "nexthop.core"
local files = require "tests.support.files"
local sts_world = require "tests.support.sts_world"

-- row: that of soak.lua; resolver_of(options): makes a resolver
return function(row, count, resolver_of)
  local found, reason = core.sts()
  if not found then
    print("policies ok: " .. reason)
    return
  end
  local world = sts_world.new("soaksts.example", 71, false)
  world:domain("good", {})
  world:domain("other", { policy = { mode = "enforce", mx = { "mx9.@" } } })
  world:domain("missing", { web = { status = 404 } })
  world:start()
  local path = files.path ".sts"
  local resolver = resolver_of { sts_cache = path }
  local options, expected = world:options { tlsrpt = true }, { good = "sts", other = "skip", missing = "may" }
  row("policies", count, function(i)
    for label, tls in pairs(expected) do
      local name = world:name(label)
      resolver:sts_forget(name)
      for _ = 1, 2 do assert(assert(resolver:plan(name, options)).hosts[1].tls == tls) end
      resolver:sts_forget(name)
      resolver:plan(name, options, function() end):cancel()
      resolver:plan(name, options, function() end)
    end
    if i % 7 == 0 then -- fetches are under way
      resolver:close()
      resolver = resolver_of { sts_cache = path }
    end
    assert(resolver:wait(10))
  end)
  resolver:close()
  world:stop()
  os.remove(path)
end
