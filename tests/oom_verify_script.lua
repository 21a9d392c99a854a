-- Run by oom_spec.lua with oom.so in front of malloc: each allocation of the module, and then every 29th one
-- of OpenSSL, fails once in turn while a host is verified. Whatever fails, there is one answer, and a host
-- that does not have what it owes is never ok. Prints what went wrong, then "ok" and the count.
local address, anchor_file, port = arg[1], arg[2], tonumber(arg[3])
local nexthop = require "nexthop"
local oom = require "oom"
assert(oom.found, "core.so was not found")

local allowed = { no_memory = true, servfail = true, config = true }
local problems, total = {}, 0
local function problem(...) problems[#problems + 1] = table.concat({ ... }, " ") end

-- May the call end like this when an allocation has failed?
local is_openssl -- it does not always tell that it had no memory
local function judge(what, n, good, report, err)
  if report then
    if report.ok and not good then problem(what, "at", n, "is ok") end
    for _, host in ipairs(good and not is_openssl and report.hosts or {}) do
      if not host.ok and not host.temporary then problem(what, "at", n, "failed for good:", host.result) end
    end
  elseif type(err) ~= "table" or not allowed[err.code] then
    problem(what, "at", n, "gave", tostring(err))
  end
end

local function once(resolver, domain, good, n)
  local options = { connect_port = port, reuse = 0, step = 0.2, helo = "client.test" }
  oom.fail(n)
  local ok, report, err = pcall(resolver.verify, resolver, domain, options)
  local blocking = oom.failed()
  oom.fail(0)
  if ok then
    judge(domain, n, good, report, err)
  elseif not tostring(report):find "memory" then
    problem(domain, "at", n, "raised", tostring(report))
  end
  local count = 0
  oom.fail(n)
  local started, handle = pcall(resolver.verify, resolver, domain, options, function(r, e)
    count = count + 1
    judge(domain .. " (callback)", n, good, r, e)
  end)
  local ended = started and handle and resolver:wait(10)
  local failed = oom.failed()
  oom.fail(0)
  if started and handle and not (ended and count == 1) then problem(domain, "at", n, "called back", count) end
  if not started and not tostring(handle):find "memory" then problem(domain, "raised", tostring(handle)) end
  return blocking or failed
end

local function new()
  return assert(nexthop.new { forward = address, trust_anchor_file = anchor_file, timeout = 1 })
end

local resolver = new()
local runs = { { "good.oom.example", true }, { "changed.oom.example", false }, { "issuer.oom.example", true },
  { "name.oom.example", false } }
local function sweep(step, limit)
  for _, run in ipairs(runs) do
    assert(resolver:verify(run[1], { connect_port = port, reuse = 0 }).ok == run[2], run[1]) -- warm
    local n = 1
    while once(resolver, run[1], run[2], n) do
      n, total = n + step, total + 1
      if n > limit then break end
    end
  end
end

sweep(1, 2000)
local own = total
oom.also "libcrypto"
is_openssl = true
sweep(29, 20000)

-- A record that OpenSSL had no memory for is a record.
for _, domain in ipairs { "certificate.oom.example", "key.oom.example" } do
  assert(resolver:plan(domain).hosts[1].tls == "dane", domain)
  local n, failed = 1
  repeat
    oom.fail(n)
    local ok, plan, err = pcall(resolver.plan, resolver, domain)
    failed = oom.failed()
    oom.fail(0)
    local tls = ok and plan and plan.hosts[1].tls
    if tls and tls ~= "dane" and tls ~= "skip" then problem(domain, "at", n, "gave", tls) end
    local reason = tostring(ok and err or plan)
    if not tls and not reason:find "memory" then problem(domain, "at", n, reason) end
    n, total = n + 1, total + 1
  until not failed or n > 5000
end
if not resolver:verify("good.oom.example", { connect_port = port, reuse = 0 }).ok then
  problem "the resolver is of no use afterwards"
end
resolver:close()
collectgarbage() collectgarbage()
if oom.live() ~= 0 then problem(oom.live(), "allocations were not freed") end
for i = 1, math.min(#problems, 20) do print(problems[i]) end
print(#problems == 0 and "ok" or "failed", own, total - own)
