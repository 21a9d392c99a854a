-- Run by oom_spec.lua with oom.so in front of malloc: each allocation of the module fails once in turn while
-- a policy of MTA-STS is fetched, written to the file, read out of it and used. Whatever fails, there is one
-- answer, and a host that the policy protects is never `may` without an error of the policy. Prints what went
-- wrong, then "ok" and the count.
local address, anchor_file, port, ca_file, path = arg[1], arg[2], tonumber(arg[3]), arg[4], arg[5]
local nexthop = require "nexthop"
local oom = require "oom"
assert(oom.found, "core.so was not found")

local allowed = { no_memory = true, servfail = true, config = true, timeout = true }
local problems, total = {}, 0
local function problem(...) problems[#problems + 1] = table.concat({ ... }, " ") end

-- May the call end like this when an allocation has failed?
local function judge(what, n, plan, err)
  if not plan then
    if type(err) ~= "table" or not allowed[err.code] then problem(what, "at", n, "gave", tostring(err)) end
    return
  end
  local host = plan.hosts[1]
  local is_good = host.tls == "sts" and plan.sts and plan.sts.mx[1]
    or host.tls == "may" and plan.sts_err and plan.sts_err.code == "sts-policy-fetch-error"
    or host.tls == "skip" and allowed[host.err.code]
  if not is_good then problem(what, "at", n, "gave", host.tls, tostring(plan.sts_err)) end
end

local options = { sts = true, tlsrpt = true, sts_port = port, ca_file = ca_file }
local function new()
  return nexthop.new { forward = address, trust_anchor_file = anchor_file, timeout = 0.5, sts_cache = path }
end

local function once(what, resolver, n, prepare)
  prepare(resolver)
  oom.fail(n)
  local ok, plan, err = pcall(resolver.plan, resolver, "good.stsoom.example", options)
  local blocking = oom.failed()
  oom.fail(0)
  if ok then
    judge(what, n, plan, err)
  elseif not tostring(plan):find "memory" then
    problem(what, "at", n, "raised", tostring(plan))
  end
  prepare(resolver)
  local count = 0
  oom.fail(n)
  local started, handle = pcall(resolver.plan, resolver, "good.stsoom.example", options, function(p, e)
    count = count + 1
    judge(what .. " (callback)", n, p, e)
  end)
  local ended = started and handle and resolver:wait(10)
  local failed = oom.failed()
  oom.fail(0)
  if started and handle and not (ended and count == 1) then problem(what, "at", n, "called back", count) end
  if not started and not tostring(handle):find "memory" then problem(what, "raised", tostring(handle)) end
  return blocking or failed
end

local function nothing() end
local function forget(resolver) resolver:sts_forget "good.stsoom.example" end

local resolver = assert(new())
assert(assert(resolver:plan("good.stsoom.example", options)).sts, "no policy") -- the DNS is warm
for what, prepare in pairs { ["a fetch"] = forget, ["a known policy"] = nothing } do
  for _, tlsrpt in ipairs { true, false } do
    options.tlsrpt = tlsrpt
    prepare(resolver)
    resolver:plan("good.stsoom.example", options)
    local n = 1
    while once(what, resolver, n, prepare) do
      n, total = n + 1, total + 1
      if n > 1000 then problem(what, "has no end") break end
    end
  end
end
forget(resolver)
if assert(resolver:plan("good.stsoom.example", options)).hosts[1].tls ~= "sts" then
  problem "the resolver is of no use afterwards"
end
resolver:close()

-- a file that has policies is opened and read
local n, failed = 1
repeat
  oom.fail(n)
  local ok, made, err = pcall(new)
  failed = oom.failed()
  oom.fail(0)
  if ok and made then
    judge("a file", n, made:plan("good.stsoom.example", options))
    made:close()
  elseif not (ok and (allowed[err.code] or tostring(err):find "libunbound does not start")
    or not ok and tostring(made):find "memory") then
    problem("a file at", n, "gave", tostring(ok and err.code or made), tostring(err))
  end
  n, total = n + 1, total + 1
until not failed or n > 500
local again = assert(new())
local plan = assert(again:plan("good.stsoom.example", options))
if not plan.sts or plan.sts.source ~= "cache" then problem "the file has lost its policy" end
plan = nil -- luacheck: ignore
again:close()

-- Another process has added a policy, and ours cannot read it when it writes: that is no damage.
local files = require "tests.support.files"
local other = assert(new())
assert(assert(other:plan("other.stsoom.example", options)).sts, "no other policy")
other:close()
local text = files.read(path)
local added = assert(text:match "\n([^\n]* %+ other%.stsoom%.example [^\n]*\n)")
local old = text:match "\n([^\n]* %+ good%.stsoom%.example [^\n]*\n)"
n = 1
repeat
  files.write(path, "nexthop-sts-cache 1\n" .. old:rep(70)) -- so many that the file is written anew
  local writer = assert(new())
  files.write(path, files.read(path) .. added)
  oom.fail(n)
  pcall(forget, writer)
  failed = oom.failed()
  oom.fail(0)
  writer:close()
  if not files.read(path):find(added, 1, true) then problem("at", n, "another process has lost a policy") end
  if io.open(path .. ".damaged") then
    problem("at", n, "a good file was set aside")
    os.remove(path .. ".damaged")
  end
  n, total = n + 1, total + 1
until not failed or n > 500

resolver, again, other = nil, nil, nil -- luacheck: ignore
collectgarbage() collectgarbage()
if oom.live() ~= 0 then problem(oom.live(), "allocations were not freed") end
for i = 1, math.min(#problems, 20) do print(problems[i]) end
print(#problems == 0 and "ok" or "failed", total)
