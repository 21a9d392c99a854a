-- Silence for some names, one type or one zone; deadlines; round trips.
local common = require "tests.bench.waiting.common"
local world = require "tests.bench.waiting.world"

local case, name, seconds, ask_on = common.case, common.name, common.seconds, common.ask_on
local longest_of, summary = common.longest_of, common.summary
local all_modes, direct = common.all_modes, common.direct
local now, sleep = world.now, world.sleep

-- cold: the silent names are the first that the zone's server is asked for.
local function silent_names(count, cold)
  return function(mode)
    local here = world.place(mode)
    if not cold then
      here:ask(name(1))
    end
    local names, silent = {}, {}
    for k = 1, count do
      names[k] = name(10 + k)
    end
    here:rule("all", { names = names, action = "silent" })
    for k = 1, count do
      silent[k] = here:start(names[k])
    end
    local records = ask_on(here, 30, 0.5, now() + (cold and 0 or 14))
    world.await(silent)
    for k = 1, 6 do
      records[#records + 1] = here:start(name(100 + k))
      sleep(0.5)
    end
    world.await(records)
    here:close()
    return summary(records, 2)
  end
end

for _, count in ipairs { 2, 3, 8 } do
  case("light", "neighbour", ("%d silent names of a zone"):format(count), "other names right, <= 2 s",
    all_modes, silent_names(count))
end
case("light", "neighbour", "3 silent names, the first that are asked of their zone",
  "other names right, <= 2 s", all_modes, silent_names(3, true))

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

case("light", "neighbour", "one of two zones of a server silent", "the other's names right, <= 2 s",
  all_modes, function(mode)
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
    return summary(records, 2)
  end)

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

local function round_trips(domain, limit, options)
  return function(mode)
    local here = world.place(mode, options)
    -- Less than libunbound first waits (0.376 s), so that nothing is asked twice.
    here:rule("all", { delay = 300 })
    for k = 1, 2 do -- what time the servers take is known, too
      here:ask(name(k, "two"))
    end
    local record = here:ask(domain)
    here:close()
    local trips = math.floor(record.seconds / 0.3)
    return ("%d (%.2f s, %s)"):format(trips, record.seconds, world.verdict(record)),
      (not limit or trips <= limit) and world.is_right(record)
  end
end

-- Most mail domains are at the apex of a zone. When names are minimised, a domain below the apex takes two
-- round trips more: libunbound asks for A of the domain before it asks for MX, and for A of the domain once
-- more before it asks for the hosts below it.
local apex, below = "two.lag", name(3, "two")
case("trips", "round trips", "a cold plan of two hosts, keys known", "<= 2", { "forward" },
  round_trips(apex, 2))
case("trips", "round trips", "the same, qname-minimisation: no", "<= 2", direct,
  round_trips(apex, 2, { options = { ["qname-minimisation"] = "no" } }))
case("trips", "round trips", "the same, minimised", "<= 5", direct, round_trips(apex, 5))
case("trips", "round trips", "the same, minimised, and the domain is below the apex of its zone", nil, direct,
  round_trips(below))
