-- Run by oom_spec.lua: each allocation of Lua fails once in turn while a report with certificates is made.
-- What OpenSSL has allocated for it is freed. Prints "ok", the count, and by how many KiB the process grew.
local address, anchor_file, port = arg[1], arg[2], tonumber(arg[3])
local nexthop = require "nexthop"
local luaoom = require "luaoom"
local jit = rawget(_G, "jit")
if jit then jit.off() end -- its compiled code itself does not always outlive a failure

local resolver = assert(nexthop.new { forward = address, trust_anchor_file = anchor_file, timeout = 1 })
local options = { connect_port = port, helo = "client.test" }
local function verify() return pcall(resolver.verify, resolver, "good.oom.example", options) end

-- The memory of the process in KiB, without what Lua has dropped.
local function size()
  collectgarbage() collectgarbage()
  local file = assert(io.open "/proc/self/statm")
  local pages = file:read "*n" and file:read "*n"
  file:close()
  return pages * 4
end

-- Each allocation fails once. Returns how many there are.
local function round()
  local n, failed = 0
  repeat
    n = n + 1
    luaoom.fail(n)
    local ok, report = verify()
    failed = luaoom.failed()
    luaoom.fail(0)
    assert(ok and report and report.ok or tostring(report):find "memory", report)
    collectgarbage()
  until not failed or n > 2000
  return n
end

for _ = 1, 2 do assert(select(2, verify()).ok) end -- all that follow connect to nobody
for _ = 1, 5 do round() end
local before, count = size()
for _ = 1, 20 do count = round() end
local more = size() - before
print(more < 150 and "ok" or "failed", count, more)
io.stdout:flush()
os.exit(0) -- the state is not closed: see luaoom.c
