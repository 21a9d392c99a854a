-- Looks at random worlds: plans every mail domain of each, with all questions answered and with some
-- failing, and compares what came with reference.lua. For random_worlds_spec.lua.
--
-- What is owed does not depend on what fails: a host is what it is when everything is answered, or it is
-- `skip` when something on the way failed (RFC 7672 sections 2.1.1 and 2.1.2). So there are two answers
-- that are right, and the second is one only where a failing question can have been asked.
local nexthop = require "nexthop"
local support = require "tests.support"
local reference = require "tests.reference"
local compare = require "tests.compare"
local random_world = require "tests.random_world"
local chance = require "tests.lab.chance"
local lab = support.lab

local worlds = {}

-- Passes over a world: which share of the questions fails, and whether those for keys and delegations are
-- among them, too (then whole zones fail).
worlds.passes = {
    { share = 0 },
    { share = 0.1 },
    { share = 1 / 3 },
    { share = 0.1, keys = true },
}

-- How the questions fail. A signature that is broken on its way is one of them: where nothing is signed it
-- breaks nothing.
local actions = { { "servfail", 0.6 }, { "refused", 0.2 }, { "corrupt", 0.2 } }
local asked_types = { A = true, AAAA = true, MX = true, TLSA = true, CNAME = true, DNAME = true }

-- Questions that fail ------------------------------------------------------------------------------

local function fault_rules(pass, seed)
    local list = {}
    for index, action in ipairs(actions) do
        list[index] = { name = "*." .. random_world.top, action = action[1], share = pass.share * action[2],
            seed = seed * 10 + index, types = not pass.keys and asked_types or nil }
    end
    return list
end

local function fails(list, name, type)
    for _, rule in ipairs(list) do
        if (not rule.types or rule.types[type]) and rule.share > 0
            and chance.of(rule.seed, name .. " " .. type) < rule.share then
            return true
        end
    end
    return false
end

-- Can a failing question have been asked to answer this one? The alias of the name itself; the DNAME
-- above it; A of the names above it, by name minimisation; DS of them, to learn whether one is an
-- insecure delegation; the keys.
local function can_fail(list, name, type, owner)
    if fails(list, name, type) or fails(list, name, "CNAME") or owner and fails(list, owner, "DNAME") then
        return true
    end
    while name and name ~= random_world.top do
        if fails(list, name, "A") or fails(list, name, "DS") or fails(list, name, "DNSKEY")
            or fails(list, name, "NS") then
            return true
        end
        name = name:match("%.(.*)$")
    end
    return false
end

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

local function plan_all(here, pass, cases, in_flight, check)
    local all = resolvers(here, pass)
    local waiting = 0
    for number, case in ipairs(cases) do
        waiting = waiting + 1
        case.way = case.way or number % #all + 1
        all[case.way]:plan(case.domain, case.options, function(plan, err)
            waiting = waiting - 1
            check(case, plan, err)
        end)
        while waiting >= in_flight or (number == #cases and waiting > 0) do
            for _, resolver in ipairs(all) do
                resolver:wait(0.002)
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
        pass.title, case.way, case.domain, options.insecure_mx or "may",
        options.require_dane and ", require_dane" or "", options.network or "ip", options.port or 25,
        found[1], tostring(found[2]), tostring(found[3]), here:describe((case.domain:gsub("[%[%]]", ""))))
end

-- One pass over cases: { title, rules = of the lab, excused(case) = can something have failed?, timeout,
-- sets = of the three resolvers }. Adds to totals: hosts, each verdict's number, wrong (a list of
-- reports).
function worlds.run(here, pass, cases, totals)
    local in_flight = math.max(5, math.floor(300 / support.slow ^ 2))
    lab:clear()
    for _, rule in ipairs(pass.rules) do
        lab:rule(rule)
    end
    local again = {}
    -- Answers what failed and should not have.
    local function judge(case, plan, err, last)
        for _, found in ipairs(compare.plan(case.expected, plan, err, pass.lossy)) do
            if found[1] == "failed" and (case.asked.odd or pass.excused(case)) then
                totals.excused = totals.excused + 1
            elseif found[1] == "failed" and not last then
                return found
            elseif found[1] then
                totals[found[1]] = (totals[found[1]] or 0) + 1
                totals.wrong[#totals.wrong + 1] = report(here, pass, case, found)
            end
        end
    end
    plan_all(here, pass, cases, in_flight, function(case, plan, err)
        if judge(case, plan, err) then
            again[#again + 1] = case
        end
    end)
    -- On a slow machine libunbound fails a lookup now and then whose server is well: once more, alone.
    for _, case in ipairs(again) do
        totals.again = totals.again + 1
        for try = 1, 4 do
            local found
            plan_all(here, pass, { case }, 1, function(_, plan, err)
                found = judge(case, plan, err, try == 4)
            end)
            if not found then
                break
            end
        end
    end
    for _, case in ipairs(cases) do
        for _, host in ipairs(case.expected.hosts or { { tls = "fails" } }) do
            totals.hosts = totals.hosts + 1
            totals.owed[host.tls] = (totals.owed[host.tls] or 0) + 1
        end
    end
end

function worlds.totals()
    return { hosts = 0, again = 0, excused = 0, wrong = {}, owed = {} }
end

-- What came of it, in a line.
function worlds.summary(totals)
    local owed = {}
    for _, word in ipairs { "dane", "encrypt", "may", "skip", "fails" } do
        owed[#owed + 1] = ("%d %s"):format(totals.owed[word] or 0, word)
    end
    return ("%d hosts, %d downgraded, %d differ otherwise, %d fail without cause; owed: %s; "
        .. "%d skipped as something failed, %d once more"):format(totals.hosts, totals.downgraded or 0,
        totals.differs or 0, totals.failed or 0, table.concat(owed, ", "), totals.excused, totals.again)
end

-- Looks at the random world of a seed with `count` mail domains, all passes.
function worlds.look(seed, count, totals)
    local here, domains, random = random_world.make(seed, count)
    lab:clear()
    lab:add_zones((here:tell()))
    local cases = worlds.cases(here, domains, function()
        return {
            insecure_mx = random(3) == 1 and "dane" or "may", require_dane = random(20) == 1,
            network = ({ "ip4", "ip6" })[random(10)], port = random(20) == 1 and 465 or nil,
        }
    end)
    for _, kind in ipairs(worlds.passes) do
        local list = fault_rules(kind, seed)
        for _, case in ipairs(cases) do
            case.excused, case.way = nil, nil
        end
        worlds.run(here, {
            title = ("seed %d, share %.2f%s"):format(seed, kind.share, kind.keys and " with keys" or ""),
            rules = kind.share > 0 and list or {},
            excused = function(case)
                if kind.share > 0 and case.excused == nil then
                    case.excused = false
                    for _, asked in ipairs(case.asked) do
                        case.excused = case.excused or can_fail(list, asked[1], asked[2], asked[3])
                    end
                end
                return case.excused
            end,
        }, cases, totals)
    end
    lab:clear()
end

return worlds
