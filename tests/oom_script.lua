-- Run by oom_spec.lua with oom.so in front of malloc: every allocation of the module fails once in
-- turn, over a run that goes through all of it. Prints what went wrong, then "ok" and the count.
local address, anchor_file = arg[1], arg[2]
local nexthop = require "nexthop"
local oom = require "oom"
assert(oom.found, "core.so was not found")

local function new()
  return nexthop.new { forward = address, trust_anchor_file = anchor_file, timeout = 0.1,
    options = { ["outgoing-range"] = "16", ["outgoing-num-tcp"] = "2" } } -- an event for each
end

local problems = {}
local function problem(...) problems[#problems + 1] = table.concat({ ... }, " ") end

-- What a call may come to when memory is out. Where libunbound was refused a timer or a descriptor
-- to watch, its lookup fails or never ends.
local allowed = { no_memory = true, servfail = true, timeout = true }

local function judge(what, n, result, err, wanted)
  if result == nil then
    if type(err) ~= "table" then
      problem(what, "at", n, "gave no error but", tostring(err))
    elseif not allowed[err.code] and err.code ~= wanted then
      problem(what, "at", n, "gave", err.code, tostring(err))
    end
    return
  end
  for _, host in ipairs(type(result) == "table" and result.hosts or {}) do
    if host.tls and host.tls ~= wanted and not (host.tls == "skip" and allowed[host.err.code]) then
      problem(what, "at", n, "gave", host.tls, "for", host.host)
    end
  end
end

local runs = {
  { "plan", "dane.example", "dane" },
  { "plan", "insecure.example", "may" },
  { "plan", "alias.example", "dane" },
  { "plan", "broken.example", "bogus" },
  { "plan", "nullmx.example", "no_mail" },
  { "plan", "implicit.example", "dane" },
  { "gather_destinations", "[192.0.2.1]" },
  { "gather_tlsa", "mx1.dane.example" },
}

local function once(resolver, run, n, options)
  local what = run[1] .. " " .. run[2]
  oom.fail(n)
  local ok, result, err = pcall(resolver[run[1]], resolver, run[2], options)
  local blocking = oom.failed()
  oom.fail(0)
  if not ok then
    if not tostring(result):find "memory" then problem(what, "at", n, "raised", tostring(result)) end
  else
    judge(what, n, result, err, run[3])
  end
  -- the same with a callback: it runs once, whatever fails
  local count, handle = 0
  oom.fail(n)
  ok, handle = pcall(resolver[run[1]], resolver, run[2], options, function(r, e)
    count = count + 1
    judge(what .. " (callback)", n, r, e, run[3])
  end)
  local later = ok and handle and resolver:wait(10)
  local failed = oom.failed()
  oom.fail(0)
  if ok and handle and not later then problem(what, "at", n, "never ended") end
  if ok and handle and count ~= 1 then problem(what, "at", n, "called back", tostring(count)) end
  if not ok and not tostring(handle):find "memory" then problem(what, "raised", tostring(handle)) end
  return blocking or failed
end

local total = 0
local resolver = assert(new())
for _, run in ipairs(runs) do
  for _, options in ipairs { {}, run[1] == "plan" and { trace = true, deadline = 20,
    dialed_ips = { ["mx1.dane.example"] = { "192.0.2.1" } } } or nil } do
    assert(pcall(resolver[run[1]], resolver, run[2], options)) -- warm
    local n = 1
    while once(resolver, run, n, options) do
      n, total = n + 1, total + 1
      if n > 2000 then problem(run[2], "has no end") break end
    end
  end
end
if not resolver:plan "dane.example" then problem "the resolver is of no use afterwards" end
resolver:close()

-- making a resolver
local n = 1
repeat
  oom.fail(n)
  local ok, made, err = pcall(new)
  local failed = oom.failed()
  oom.fail(0)
  if ok and made then
    made:close()
  elseif not (ok and (err.code == "no_memory" or tostring(err):find "libunbound does not start")
    or not ok and tostring(made):find "memory") then
    problem("new at", n, "gave", tostring(ok and err.code or made), tostring(err))
  end
  n, total = n + 1, total + 1
until not failed or n > 500

-- cold: what is allocated while answers come in. The last two follow aliases one at a time.
for _, run in ipairs { { "plan", "dane.example", "dane" }, { "gather_ips", "loop2.example", "cname_loop" },
  { "gather_tlsa", "mx1.broken.example", "bogus" } } do
  n = 1
  repeat
    local cold = assert(new())
    local failed = once(cold, run, n, { deadline = 20 })
    cold:close()
    n, total = n + 1, total + 1
  until not failed or n > 500
end

-- a blocking plan that has its answer when another's callback closes the resolver gives back what it had
-- from it, though that is gone
resolver = assert(new())
local closed = false
resolver:plan("dane.example", function() closed = resolver:close() end) -- both end at once
if not resolver:plan "dane.example" or not closed then problem "two plans did not end at once" end

-- libidn2 has no memory for a name, which is a name all the same
n = 1
oom.also "libidn2"
resolver = assert(new())
while once(resolver, { "plan", "bücher.oom.example", "nxdomain" }, n, {}) do n, total = n + 1, total + 1 end
resolver:close()

resolver = nil -- luacheck: ignore
collectgarbage() collectgarbage()
if oom.live() ~= 0 then problem(oom.live(), "allocations were not freed") end
for i = 1, math.min(#problems, 20) do print(problems[i]) end
print(#problems == 0 and "ok" or "failed", total)
