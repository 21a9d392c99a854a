-- Looks at random worlds: plans every mail domain of each, with all questions answered and with some
-- failing, and compares what came with reference.lua. For random_worlds_spec.lua.
--
-- What is owed does not depend on what fails: a host is what it is when everything is answered, or it is
-- `skip` when something on the way failed (RFC 7672 sections 2.1.1 and 2.1.2). So there are two answers
-- that are right, and the second is one only where a failing question can have been asked.
local nexthop = require "nexthop"
local support = require "tests.support"
local reference = require "tests.support.reference"
local compare = require "tests.support.compare"
local random_world = require "tests.support.random_world"
local failing = require "tests.support.failing"
local lab = support.lab

local worlds = {}

-- What is expected ---------------------------------------------------------------------------------

-- The cases of a world: { domain, options, expected, asked = see world:asking() }.
-- options_of(number): those of a plan.
function worlds.cases(here, domains, options_of)
  local cases = {}
  for number, domain in ipairs(domains) do
    local case = { domain = domain, asked = {}, options = options_of(number) }
    case.expected = reference.plan(here:asking(case.asked), domain, case.options)
    cases[number] = case
  end
  return cases
end

-- Runs ----------------------------------------------------------------------------------------------

-- Cases of the calls that a plan is made of, for its domain and for all its hosts.
function worlds.parts(here, cases)
  local parts, seen = {}, {}
  local function add(call, name, expect)
    if not seen[call .. name] then
      seen[call .. name] = true
      local part = { call = call, domain = name, options = {}, asked = {} }
      part.expected = expect(here:asking(part.asked), name)
      parts[#parts + 1] = part
    end
  end
  for _, case in ipairs(cases) do
    if not case.domain:find("[", 1, true) then
      add("gather_destinations", case.domain, reference.destinations)
    end
    for _, host in ipairs(case.expected.hosts or {}) do
      add("gather_ips", host.host, reference.ips)
    end
  end
  return parts
end

-- Three ways to ask: zone by zone, with and without name minimisation, and a forwarder.
local function resolvers(here, pass)
  local stub = here:stub(lab)
  local timeout = (pass.timeout or 10) * support.slow
  local list = {}
  for _ = 1, pass.sets or 1 do
    for _, minimise in ipairs { "no", "yes" } do
      list[#list + 1] = assert(nexthop.new(lab:options { stub = stub, timeout = timeout,
        options = { ["qname-minimisation"] = minimise } }))
    end
    list[#list + 1] = assert(nexthop.new(lab:forward_options { timeout = timeout }))
  end
  return list
end

-- Plans all cases; check(case, plan, err) for each. `rounds` of a pass: so often, by the same resolvers,
-- which remember what they have learned; from the second on nothing fails any more.
local function plan_all(here, pass, cases, in_flight, check)
  local all = resolvers(here, pass)
  for round = 1, pass.rounds or 1 do
    local waiting = 0
    if round > 1 then
      lab:clear()
    end
    for number, case in ipairs(cases) do
      waiting = waiting + 1
      case.way = case.way or number % #all + 1
      case.options.deadline = pass.deadline
      local asked_of, call = all[case.way], case.call or "plan"
      asked_of[call](asked_of, case.domain, case.options, function(result, err)
        waiting = waiting - 1
        check(case, result, err)
      end)
      while waiting >= in_flight or (number == #cases and waiting > 0) do
        for _, resolver in ipairs(all) do
          resolver:wait(0.002)
        end
      end
    end
  end
  for _, resolver in ipairs(all) do
    resolver:close()
  end
end

local function report(here, pass, case, found)
  local options = case.options
  return ("%s, way %d, %s, insecure_mx %s%s, %s, port %d: %s: %s\n  and not %s\n%s"):format(
    pass.title, case.way, (case.call and case.call .. " " or "") .. case.domain,
    options.insecure_mx or "may", options.require_dane and ", require_dane" or "",
    options.network or "ip", options.port or 25, found[1], tostring(found[2]), tostring(found[3]),
    here:describe((case.domain:gsub("[%[%]]", ""))))
end

-- Can what differs have been made up, as nothing protects it? That is so for all that is behind an insecure
-- alias.
local function can_be_forged(case, found)
  if found[1] == "downgraded" and not case.expected.code then
    return false
  end
  return case.asked.behind
end

-- One pass over cases: { title, rules = of the lab, excused(case) = can something have failed?, timeout,
-- deadline = of a plan, sets = of the three resolvers, rounds, forged = answers are made up }. Adds to
-- totals: hosts, each verdict's number, wrong (a list of reports).
function worlds.run(here, pass, cases, totals)
  local in_flight = math.max(5, math.floor(300 / support.slow ^ 2))
  lab:clear()
  for _, rule in ipairs(pass.rules) do
    lab:rule(rule)
  end
  local again, seen = {}, {}
  -- Did something fail that should not have? That is wrong only when it does so at the last try.
  local function judge(case, plan, err, last)
    local failed = false
    for _, found in ipairs(compare[case.call or "plan"](case.expected, plan, err, pass.forged)) do
      if found[1] == "failed" and (case.asked.odd or pass.excused(case)) then
        totals.excused = totals.excused + 1
      elseif found[1] == "failed" and not last then
        failed = true
      elseif pass.forged and found[1] and can_be_forged(case, found) then
        totals.excused = totals.excused + 1
      elseif found[1] then
        totals[found[1]] = (totals[found[1]] or 0) + 1
        totals.wrong[#totals.wrong + 1] = report(here, pass, case, found)
      end
    end
    return failed
  end
  plan_all(here, pass, cases, in_flight, function(case, plan, err)
    if judge(case, plan, err) and not seen[case] then
      seen[case] = true
      again[#again + 1] = case
    end
  end)
  -- On a slow machine libunbound fails a lookup now and then whose server is well: once more, alone.
  for _, case in ipairs(again) do
    totals.again = totals.again + 1
    for try = 1, 4 do
      local failed = false
      for _, rule in ipairs(pass.rounds and pass.rules or {}) do
        lab:rule(rule)
      end
      plan_all(here, pass, { case }, 1, function(_, plan, err)
        failed = judge(case, plan, err, try == 4) or failed
      end)
      if not failed then
        break
      end
    end
  end
  for _, case in ipairs(cases) do
    for _, host in ipairs(case.expected.hosts or { { tls = case.call or "fails" } }) do
      totals.hosts = totals.hosts + (pass.rounds or 1)
      totals.owed[host.tls] = (totals.owed[host.tls] or 0) + (pass.rounds or 1)
    end
  end
end

function worlds.totals()
  return { hosts = 0, again = 0, excused = 0, wrong = {}, owed = {} }
end

-- What came of it, in a line. seeds: which they were.
function worlds.summary(totals, seeds)
  local owed = {}
  for _, word in ipairs { "dane", "encrypt", "may", "skip", "fails" } do
    owed[#owed + 1] = ("%d %s"):format(totals.owed[word] or 0, word)
  end
  return ("%d hosts, %d downgraded, %s; %d differ otherwise, %d fail without cause; owed: %s; "
    .. "%d skipped as something failed, %d once more"):format(totals.hosts, totals.downgraded or 0, seeds,
      totals.differs or 0, totals.failed or 0, table.concat(owed, ", "), totals.excused, totals.again)
end

-- Looks at the random world of a seed with `count` mail domains, all passes. parts: at what a plan is
-- made of.
function worlds.look(seed, count, totals, parts)
  local here, domains, random = random_world.make(seed, count)
  lab:clear()
  lab:add_zones((here:tell()))
  local cases = worlds.cases(here, domains, function()
    return {
      insecure_mx = random(3) == 1 and "dane" or "may", require_dane = random(20) == 1,
      network = ({ "ip4", "ip6" })[random(10)], port = random(20) == 1 and 465 or nil,
    }
  end)
  cases = parts and worlds.parts(here, cases) or cases
  for _, pass in ipairs(failing.passes(seed)) do
    for _, case in ipairs(cases) do
      case.excused, case.way = nil, nil
    end
    function pass.excused(case)
      if case.excused == nil then
        case.excused = pass.always or false
        for _, asked in ipairs(case.asked) do
          case.excused = case.excused or failing.can_fail(pass.rules, asked[1], asked[2], asked[3])
        end
      end
      return case.excused
    end
    worlds.run(here, pass, cases, totals)
  end
  lab:clear()
end

return worlds
