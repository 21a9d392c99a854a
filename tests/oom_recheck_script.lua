-- Run by oom_spec.lua with oom.so in front of malloc: allocations fail while a lookup that was bogus is asked
-- again in a fresh context, its keys are asked for, and the forwarders are probed. Each run is cold and makes
-- contexts, so only every seventh fails. Prints what went wrong, then "ok" and the count.
local good, bad, anchor_file = arg[1], arg[2], arg[3]
local nexthop = require "nexthop"
local oom = require "oom"
assert(oom.found, "core.so was not found")

local allowed = { no_memory = true, servfail = true, timeout = true, bogus = true, skip = true }
local problems, total = {}, 0

-- The plan calls back once, and never gives more than a failure.
local function once(forward, domain, n)
  local resolver = assert(nexthop.new { forward = forward, trust_anchor_file = anchor_file, timeout = 3,
    options = { ["outgoing-range"] = "16", ["outgoing-num-tcp"] = "2" } })
  local count, outcome = 0, nil
  oom.fail(n)
  local ok, handle = pcall(resolver.plan, resolver, domain, function(plan, err)
    count, outcome = count + 1, err and err.code or plan.hosts[1].tls
  end)
  local ended = ok and handle and resolver:wait(20)
  local failed = oom.failed()
  oom.fail(0)
  if ok and handle and not (ended and count == 1 and allowed[outcome]) then
    problems[#problems + 1] = ("%s at %d: ended %s, called back %d times, %s"):format(domain, n,
      tostring(ended), count, tostring(outcome))
  end
  resolver:close()
  return failed
end

for _, case in ipairs { { { good }, "expired.example" }, { { bad }, "dane.example" },
  { { good, bad }, "expired.example" } } do
  local n = 1
  while once(case[1], case[2], n) do n, total = n + 7, total + 1 end
end
collectgarbage() collectgarbage()
if oom.live() ~= 0 then problems[#problems + 1] = oom.live() .. " allocations were not freed" end
for i = 1, math.min(#problems, 20) do print(problems[i]) end
print(#problems == 0 and "ok" or "failed", total)
