-- The cases of the part "waiting", one for each line of "what a slow or broken server costs", in each
-- mode where it differs. A case: { group, line, what, wanted, modes, run }, run(mode) gives what was found
-- (a text) and whether that is what was wanted (wanted = nil: a figure without a target).
--
-- Groups run in processes of their own: "light" cases wait and do little else, so that all of them run
-- side by side.
local json = require "cjson"
local uv = require "luv"
local world = require "tests.bench.waiting_world"
local zones = require "tests.bench.waiting_zones"

local cases = {}
local now, sleep = world.now, world.sleep
local all_modes, direct = { "recursion", "stub", "forward" }, { "recursion", "stub" }
local recursion_and_forward = { "recursion", "forward" }

local function case(group, line, what, wanted, modes, run)
    cases[#cases + 1] = { group = group, line = line, what = what, wanted = wanted, modes = modes, run = run }
end

local function name(number, zone)
    return ("d%d.%s.lag"):format(number, zone or "one")
end

local function seconds(value)
    return ("%.1f s"):format(value)
end

-- One plan: its verdict and time.
local function told(record)
    local verdict = world.verdict(record)
    return (verdict == "dane" and "right" or verdict) .. " after " .. seconds(record.seconds)
end

-- A good answer is waited for ----------------------------------------------------------------

local function after_silence(here)
    local silent = here:rule("zone", { names = { "d1.one.lag", "d2.one.lag", "d3.one.lag" },
        action = "silent" })
    world.await { here:start(name(1)), here:start(name(2)), here:start(name(3)) }
    here:unrule(silent)
end

for _, delay in ipairs { 720, 1400, 3000 } do
    for _, after in ipairs { false, true } do
        case("light", "slow", ("each answer of the zone's server takes %.2f s%s"):format(delay / 1000,
            after and ", after three silent names" or ""), delay <= 1400 and "right" or nil, direct, function(mode)
            local here = world.place(mode)
            if after then
                after_silence(here)
            end
            here:rule("zone", { delay = delay })
            local record = here:ask(name(9))
            here:close()
            return told(record), world.is_right(record)
        end)
    end
end

for _, delay in ipairs { 200, 1400 } do
    case("light", "slow", ("a server that answered at once now takes %.2f s"):format(delay / 1000),
        "right", all_modes, function(mode)
            local here = world.place(mode)
            here:ask(name(1))
            here:rule("zone", { delay = delay })
            local record = here:ask(name(9))
            here:close()
            return told(record), world.is_right(record)
        end)
end

for _, after in ipairs { false, true } do
    case("light", "slow", "the forwarder needs 4.5 s for each question that is new to it"
        .. (after and ", after three silent names" or ""), "right", { "forward" }, function(mode)
        local here = world.place(mode)
        if after then
            after_silence(here)
        end
        here:rule("all", { name = "*.one.lag", first = 4500 })
        local record = here:ask(name(9))
        here:close()
        return told(record), world.is_right(record)
    end)
end

-- Loss -----------------------------------------------------------------------------------------

case("loss", "loss", "a fifth of the packets lost each way, 400 cold plans", "0 fail", all_modes, function(mode)
    local records, places = {}, {}
    local seed = tonumber(os.getenv "NEXTHOP_SEED") or 1
    for k = 1, 4 do
        places[k] = world.place(mode)
        places[k]:rule("all", { action = "lossy", loss = 0.2, seed = seed + k })
    end
    local workers = {}
    for k = 1, 100 do
        workers[k] = function()
            for n = 1, 4 do
                records[4 * k + n - 4] = places[(k - 1) % 4 + 1]:ask(name(4 * k + n))
            end
        end
    end
    world.together(workers)
    for _, here in ipairs(places) do
        here:close()
    end
    local text, wrong = world.wrong(records)
    local longest = 0
    for _, record in ipairs(records) do
        longest = math.max(longest, record.seconds)
    end
    return ("%d of %d fail%s; longest %s (seed %d)"):format(wrong, #records, wrong > 0 and ": " .. text or "",
        seconds(longest), seed), wrong == 0
end)

-- A dead name ----------------------------------------------------------------------------------

-- Asks good names that have not been asked before, every `every` seconds until time `till`.
local function ask_on(here, first, every, till, zone)
    local records = {}
    while now() < till do
        records[#records + 1] = here:start(name(first + #records, zone))
        sleep(every)
    end
    return records
end

local function longest_of(records)
    local longest = 0
    for _, record in ipairs(records) do
        longest = math.max(longest, record.seconds)
    end
    return longest
end

case("light", "dead", "a name whose servers are all dead", "<= 10 s", all_modes, function(mode)
    local here = world.place(mode)
    here:rule("zone", { name = "*.x1.lag", action = "silent" })
    local dead = here:ask(mode == "recursion" and "n1.x1.lag" or "n1.x1.lag")
    here:close()
    return told(dead), dead.seconds <= 10.3
end)

case("light", "dead", "other names while one is dead", "right, <= 1 s", all_modes, function(mode)
    local here = world.place(mode)
    here:rule("all", { name = "*.x1.lag", action = "silent" })
    here:ask(name(1))
    local dead = here:start("n1.x1.lag")
    local records = ask_on(here, 10, 0.5, now() + 8)
    world.await(records)
    world.await { dead }
    here:close()
    local text, wrong = world.wrong(records)
    return ("%d of %d fail%s; longest %s"):format(wrong, #records, wrong > 0 and ": " .. text or "",
        seconds(longest_of(records))), wrong == 0 and longest_of(records) <= 1
end)

-- Outages --------------------------------------------------------------------------------------

-- What came of names that were asked from the end of an outage on.
local function recovery(records, ended)
    local first, late, slowest
    local failed = 0
    for _, record in ipairs(records) do
        local asked = record.asked - ended
        if world.is_right(record) then
            if asked >= -0.01 then
                first = math.min(first or 1e9, record.ended - ended)
                slowest = math.max(slowest or 0, record.seconds)
            end
        elseif asked >= -0.01 then
            failed = failed + 1
            late = math.max(late or 0, asked)
        end
    end
    local text = first and ("first right %s after the end"):format(seconds(first)) or "none right"
    if failed > 0 then
        text = text .. (", %d fail, the last asked %s after it: %s"):format(failed, seconds(late),
            (world.wrong(records)))
    end
    if slowest and slowest > 5 then
        text = text .. (", slowest %s"):format(seconds(slowest))
    end
    return text, first ~= nil and first <= 5 and (late == nil or late < 5)
end

-- How long good names are watched after the end.
local WATCH = 12

for _, length in ipairs { 10, 20, 30, 60, 90, 120 } do
    case("light", "outage", ("the network away for %d s, a name asked each second"):format(length),
        "first right <= 5 s, none fails after", all_modes, function(mode)
            local here = world.place(mode)
            here:ask(name(1))
            local outage = here:rule("all", { action = "silent" })
            local ended = now() + length
            local before = ask_on(here, 100, 1, ended)
            here:unrule(outage)
            ended = now()
            local after = ask_on(here, 200, 0.5, ended + WATCH)
            world.await(before)
            world.await(after)
            here:close()
            return recovery(after, ended)
        end)
end

case("light", "outage", "the top-level domain's servers away for 5 s after the start",
    "first right <= 5 s, none fails after", direct, function(mode)
        local here = world.place(mode)
        local outage = here:rule("lag", { action = "silent" })
        local before = ask_on(here, 100, 0.5, now() + 5)
        here:unrule(outage)
        local ended = now()
        local after = ask_on(here, 200, 0.5, ended + WATCH)
        world.await(before)
        world.await(after)
        here:close()
        return recovery(after, ended)
    end)

-- A late host ------------------------------------------------------------------------------------

for _, late in ipairs { 2.5, 10 } do
    for _, warm in ipairs { true, false } do
        case("light", "late", ("process() is called %s s late once, %s"):format(late,
            warm and "keys known" or "cold"), "0 of 20 fail", all_modes, function(mode)
            local here = world.place(mode)
            if warm then
                here:ask(name(1))
            end
            here:rule("all", { delay = 50 })
            local records = {}
            for k = 1, 10 do
                records[k] = here:start(name(10 + k))
            end
            here.resolver:process()
            here:late(late)
            world.await(records)
            local first_text = world.wrong(records)
            local next_ones = {}
            for k = 1, 10 do
                next_ones[k] = here:start(name(30 + k))
            end
            world.await(next_ones)
            here:close()
            local next_text = world.wrong(next_ones)
            local met = first_text == "" and next_text == ""
            return met and "0 fail" or ("those under way: %s; next ones: %s"):format(
                first_text == "" and "right" or first_text, next_text == "" and "right" or next_text), met
        end)
    end
end

-- One bad answer ---------------------------------------------------------------------------------

local function next_names(here, number)
    local records = { here:start(name(number)), here:start(name(number, "two")) }
    world.await(records)
    sleep(1.5)
    records[3] = here:start(name(number + 1))
    records[4] = here:start(name(number + 1, "two"))
    return world.await(records)
end

-- One such answer in a place of its own; what came of the next names.
local function one_wrong(mode, action, pause, question)
    local here = world.place(mode)
    local rule = { action = action, times = 1, type = question }
    local server = mode == "recursion" and question == "*" and "zone" or "all"
    if pause then
        here:ask(name(1))
        sleep(pause)
        here:rule(server, rule)
        here:ask(name(2, question == "*" and "one" or "two")) -- the keys of `two` are not known yet
    else
        here:rule(server, rule)
        here:ask(name(1))
    end
    local records = next_names(here, 3)
    here:close()
    return world.wrong(records)
end

for _, action in ipairs { "formerr", "notimp", "refused", "silent" } do
    case("light", "one", (action == "silent" and "one lost packet" or "one " .. action:upper())
        .. ", the very first answer, 1.5 and 10 s after the last; to any question, DNSKEY, DS",
        "the next names are right", recursion_and_forward, function(mode)
            local list, failed, total = {}, {}, 0
            for _, pause in ipairs { false, 1.5, 10 } do
                for _, question in ipairs { "*", "DNSKEY", "DS" } do
                    total = total + 1
                    list[total] = function()
                        local text, wrong = one_wrong(mode, action, pause, question)
                        if wrong > 0 then
                            failed[#failed + 1] = ("%s, %s: %d of 4 %s"):format(
                                pause and pause .. " s" or "first", question, wrong, text)
                        end
                    end
                end
            end
            world.together(list)
            table.sort(failed)
            return ("%d of %d fail%s"):format(#failed, total,
                #failed > 0 and " (" .. table.concat(failed, "; ") .. ")" or ""), #failed == 0
        end)
end

-- Keys that cannot be fetched ---------------------------------------------------------------------

-- Seconds until a name is right, asked each second.
local function until_right(here, first, patience)
    local begun, k = now(), first
    while now() - begun < patience do
        local record = here:ask(name(k))
        if world.is_right(record) then
            return now() - begun
        end
        k = k + 1
        sleep(1)
    end
end

for _, action in ipairs { "servfail", "silent" } do
    case("light", "keys", ("DNSKEY of the zone: %s; then it is there again"):format(action),
        "servfail or timeout, never bogus", all_modes, function(mode)
            local here = world.place(mode)
            local rule = here:rule("zone", { name = "one.lag", type = "DNSKEY", action = action })
            local codes, bad = {}, false
            for k = 1, 3 do
                local record = here:ask(name(k))
                codes[k] = world.verdict(record)
                bad = bad or codes[k]:find "bogus" ~= nil or codes[k] == "dane"
            end
            here:unrule(rule)
            local took = until_right(here, 10, 75)
            here:close()
            return ("%s; right again after %s"):format(table.concat(codes, ", "),
                took and seconds(took) or "75 s: no"), not bad
        end)
    for _, kind in ipairs { "DNSKEY", "DS" } do
        case("light", "keys", ("%s %s for 2 s at a cold start"):format(kind, action),
            "never bogus; right <= 5 s after", recursion_and_forward, function(mode)
                local here = world.place(mode)
                local rule = here:rule("all", { type = kind, action = action })
                local records = { here:start(name(1)) }
                sleep(2)
                here:unrule(rule)
                world.await(records)
                local verdict = world.verdict(records[1])
                local took = until_right(here, 10, 75)
                here:close()
                return ("%s; next right after %s"):format(verdict, took and seconds(took) or "75 s: no"),
                    not verdict:find "bogus" and took ~= nil and took <= 5
            end)
    end
end

-- One bad neighbour --------------------------------------------------------------------------------

for _, count in ipairs { 2, 3, 8 } do
    case("light", "neighbour", ("%d silent names of a zone"):format(count), "other names right, <= 2 s",
        all_modes, function(mode)
            local here = world.place(mode)
            here:ask(name(1))
            local names, silent = {}, {}
            for k = 1, count do
                names[k] = name(10 + k)
            end
            here:rule("all", { names = names, action = "silent" })
            for k = 1, count do
                silent[k] = here:start(names[k])
            end
            local records = ask_on(here, 30, 0.5, now() + 14)
            world.await(silent)
            for k = 1, 6 do
                records[#records + 1] = here:start(name(100 + k))
                sleep(0.5)
            end
            world.await(records)
            here:close()
            local text, wrong = world.wrong(records)
            return ("%d of %d fail%s; longest %s"):format(wrong, #records, wrong > 0 and ": " .. text or "",
                seconds(longest_of(records))), wrong == 0 and longest_of(records) <= 2
        end)
end

case("light", "neighbour", "all TLSA questions silent", "MX and addresses right, <= 2 s", all_modes,
    function(mode)
        local here = world.place(mode)
        here:ask(name(1))
        here:rule("all", { type = "TLSA", action = "silent" })
        local silent = {}
        for k = 1, 5 do
            silent[k] = here:start(name(10 + k))
        end
        local records, till, k = {}, now() + 14, 0
        while now() < till do
            k = k + 1
            records[#records + 1] = here:start(name(30 + k), nil, "gather_destinations")
            records[#records + 1] = here:start("mx." .. name(60 + k), nil, "gather_ips")
            sleep(0.5)
        end
        world.await(silent)
        world.await(records)
        here:close()
        local wrong, unsafe = 0, 0
        for _, record in ipairs(records) do
            local found = record.result
            if not found or found.ips and (#found.ips ~= 2 or not found.authentic) then
                wrong = wrong + 1
            end
        end
        for _, record in ipairs(silent) do
            unsafe = unsafe + (world.verdict(record):find "^skip" and 0 or 1)
        end
        return ("%d of %d fail; longest %s%s"):format(wrong, #records, seconds(longest_of(records)),
            unsafe > 0 and (", %d hosts not skip"):format(unsafe) or ""),
            wrong == 0 and unsafe == 0 and longest_of(records) <= 2
    end)

case("light", "neighbour", "one of two zones of a server silent", "the other's names right, <= 2 s", all_modes,
    function(mode)
        local here = world.place(mode)
        here:ask(name(1))
        here:rule("all", { name = "*.two.lag", action = "silent" })
        here:rule("all", { name = "two.lag", action = "silent" })
        local silent = {}
        for k = 1, 4 do
            silent[k] = here:start(name(k, "two"))
        end
        local records = ask_on(here, 30, 0.5, now() + 14)
        world.await(silent)
        world.await(records)
        here:close()
        local text, wrong = world.wrong(records)
        return ("%d of %d fail%s; longest %s"):format(wrong, #records, wrong > 0 and ": " .. text or "",
            seconds(longest_of(records))), wrong == 0 and longest_of(records) <= 2
    end)

-- 3,000 dead names ----------------------------------------------------------------------------------

local function many_dead(mode)
    local here = world.place(mode)
    here:ask(name(1))
    if mode ~= "recursion" then
        for n = 1, zones.dead do
            here:rule("all", { name = ("*.x%d.lag"):format(n), action = "silent" })
        end
    end
    local dead, good = {}, {}
    local begun = now()
    for k = 0, 2999 do
        dead[k + 1] = here:start(("n%d.x%d.lag"):format(k, k % zones.dead + 1), nil, "gather_destinations")
    end
    local started = now() - begun
    for _, at in ipairs { 0, 1, 3, 6, 10, 15 } do
        world.sleep_until(begun + started + at)
        good[#good + 1] = here:start(name(100 + 2 * at))
    end
    world.await(good)
    world.await(dead)
    local took = now() - begun
    here:close()
    local text, wrong = world.wrong(good)
    return ("%d of %d good fail%s; first %s, longest %s; all over after %s"):format(wrong, #good,
        wrong > 0 and ": " .. text or "", seconds(good[1].seconds), seconds(longest_of(good)), seconds(took)),
        wrong == 0 and longest_of(good) <= 2
end

case("dead", "3,000 dead", "3,000 dead names at once, good ones behind them", "right, <= 2 s", recursion_and_forward,
    many_dead)
case("dead1024", "3,000 dead", "the same with `ulimit -n 1024`", "right, <= 2 s", recursion_and_forward, many_dead)

-- Many names through a stock unbound ------------------------------------------------------------------

local function write(path, text)
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
    return path
end

local function line_of(command)
    local pipe = assert(io.popen(command, "r"))
    local line = pipe:read "*l"
    pipe:close()
    return line
end

-- Starts Debian's unbound, unpacked, with nothing set but where the root is; returns its port and what
-- ends it.
local function start_unbound()
    local binary = line_of "tests/lab/daemon-path unbound 2>&1"
    assert(binary:sub(1, 1) == "/", binary)
    local hints, anchor, folder = world.tree()
    local socket = uv.new_udp()
    assert(socket:bind("127.0.0.1", 0))
    local port = socket:getsockname().port
    socket:close()
    local conf = write(folder .. "/unbound.conf", ([[
server:
    interface: 127.0.0.1@%d
    username: ""
    chroot: ""
    directory: "%s"
    pidfile: ""
    use-syslog: no
    logfile: "%s/unbound.log"
    do-daemonize: no
    do-not-query-localhost: no
    root-hints: "%s"
    trust-anchor-file: "%s"
]]):format(port, folder, folder, hints, anchor))
    local process, reason = uv.spawn("/usr/bin/setpriv", { args = { "--pdeathsig", "TERM", binary, "-c", conf } },
        function() end)
    assert(process, reason)
    return port, anchor, folder, function()
        process:kill "sigterm"
    end
end

-- The options of the settings that are measured, as an unbound.conf (the program has no other way).
local function bulk_options(port, anchor, folder)
    local settings = world.settings "forward"
    if not next(settings.options) then
        return ("--resolver 127.0.0.1@%d --anchor %s"):format(port, anchor)
    end
    local lines = { "server:", "    do-not-query-localhost: no" }
    for key, value in pairs(settings.options) do
        lines[#lines + 1] = ("    %s: %s"):format(key, value)
    end
    lines[#lines + 1] = ("forward-zone:\n    name: \".\"\n    forward-addr: 127.0.0.1@%d"):format(port)
    return ("--unbound-conf %s --anchor %s"):format(
        write(folder .. "/bulk.conf", table.concat(lines, "\n") .. "\n"), anchor)
end

case("bulk", "bulk", "`nexthop -f` with 3,000 names, 300 dead, through a stock unbound", "0 of 2,700 good fail",
    { "forward" }, function()
        local port, anchor, folder, stop = start_unbound()
        local names = {}
        for k = 1, 3000 do
            names[k] = k % 10 == 0 and ("n%d.x%d.lag"):format(k, k / 10) or name(k)
        end
        local path = write(folder .. "/names", table.concat(names, "\n") .. "\n")
        local timeout = world.settings("forward").timeout
        local begun = now()
        local pipe = assert(io.popen(("nexthop -j 100 --json %s %s -f %s 2>%s/bulk.err"):format(
            bulk_options(port, anchor, folder), timeout and "--timeout " .. timeout or "", path, folder), "r"))
        local seen, printed, right, wrong, twice = {}, 0, 0, {}, 0
        for line in pipe:lines() do
            local found = json.decode(line)
            printed = printed + 1
            twice = twice + (seen[found.domain] and 1 or 0)
            seen[found.domain] = true
            if found.domain:find "one%.lag$" then
                local host = type(found.hosts) == "table" and found.hosts[1]
                if host and host.tls == "dane" and #host.ips == 2 then
                    right = right + 1
                else
                    local what = found.error or host and host.tls or "nothing"
                    what = type(what) == "table" and what.code or what
                    wrong[what] = (wrong[what] or 0) + 1
                end
            end
        end
        pipe:close()
        stop()
        local list = {}
        for what, count in pairs(wrong) do
            list[#list + 1] = (" %s %d"):format(tostring(what), count)
        end
        local has_retry = line_of "nexthop --help | grep -c -e --retry" ~= "0"
        return ("%d of 2700 good fail%s; %d lines%s; %.0f s%s"):format(2700 - right, table.concat(list, ","), printed,
            twice > 0 and (", %d twice"):format(twice) or "", now() - begun, has_retry and "" or " (no --retry here)"),
            right == 2700 and printed == 3000 and twice == 0
    end)

-- Deadlines, round trips ------------------------------------------------------------------------------

for _, family in ipairs { "AAAA", "A" } do
    case("light", "deadline", ("%s is never answered, deadline 4 s"):format(family),
        "dane over the other family, <= 4 s", all_modes, function(mode)
            local here = world.place(mode)
            here:rule("all", { name = "mx." .. name(5), type = family, action = "silent" })
            here:ask(name(1))
            local record = here:ask(name(5), { deadline = 4 })
            here:close()
            local host = record.result and record.result.hosts[1]
            local text = host and ("%s, %d addresses%s"):format(host.tls, #(host.ips or {}),
                host.failed and "" or ", nothing `failed`") or world.verdict(record)
            return text .. " after " .. seconds(record.seconds), host ~= nil and host.tls == "dane"
                and #host.ips == 1 and host.failed ~= nil and record.seconds <= 4.5
        end)
end

local function round_trips(limit, options)
    return function(mode)
        local here = world.place(mode, options)
        here:rule("all", { delay = 100 })
        for k = 1, 4 do -- what time the servers take is known, too
            here:ask(name(k, "two"))
        end
        local record = here:ask(name(5, "two"))
        here:close()
        local trips = math.floor(record.seconds / 0.1)
        return ("%d (%.2f s, %s)"):format(trips, record.seconds, world.verdict(record)),
            trips <= limit and world.is_right(record)
    end
end
case("trips", "round trips", "a cold plan of two hosts, keys known", "<= 2", { "forward" }, round_trips(2))
case("trips", "round trips", "the same, qname-minimisation: no", "<= 2", direct,
    round_trips(2, { options = { ["qname-minimisation"] = "no" } }))
case("trips", "round trips", "the same, minimised", "<= 5", direct, round_trips(5))

return cases
