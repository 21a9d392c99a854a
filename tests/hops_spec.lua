-- Chains of up to four aliases across secure and insecure zones in every order, the aliases made by
-- CNAME, by DNAME and by wildcards, in front of a host, of a mail domain and of TLSA records; and one
-- question failing at each of the names on the way. What is owed does not change by that: the host is
-- what it is when everything is answered, or `skip` (see worlds.lua).
--
--   NEXTHOP_DOWNGRADE=all    all of them, not a sample
--   NEXTHOP_SEED=N           another sample: a number, or "random"; the seed is printed
local support = require "tests.support"
local world = require "tests.support.world"
local worlds = require "tests.support.worlds"
local chance = require "tests.lab.chance"

local asked = os.getenv "NEXTHOP_SEED"
local seed = tonumber(asked) or (asked == "random" and os.time() % 1000000) or 1
local all = os.getenv "NEXTHOP_DOWNGRADE" == "all"
local random = chance.generator(seed * 17 + 5)
local LINKS = 4

-- "s" is one of the zones whose records are secure, "u" is not signed.
local signed = { "hn", "ho", "hm" }
local zones = { { "hops", "nsec" }, { "hn.hops", "nsec" }, { "ho.hops", "optout" }, { "hm.hops", "many" },
  { "hu.hops", "unsigned" } }

-- All orders of "s" and "u" of a length.
local function orders(length)
  if length == 0 then
    return { "" }
  end
  local list = {}
  for _, rest in ipairs(orders(length - 1)) do
    list[#list + 1] = "s" .. rest
    list[#list + 1] = "u" .. rest
  end
  return list
end

local ways = {}

function ways.cname(here, zone, target)
  return here:add(zone, nil, { cname = target })
end

function ways.dname(here, zone, target)
  local label, rest = target:match("^([^.]+)%.(.+)$")
  return label .. "." .. here:add(zone, nil, { dname = rest })
end

function ways.wildcard(here, zone, target)
  here.number = here.number + 1
  return "w" .. here:add(zone, "*.y" .. here.number, { cname = target }):sub(2)
end

local way_names = { "cname", "dname", "wildcard" }

-- Puts a chain in front of a target. order: the zones, the first first, that of the target not among them.
-- Answers the names on the way, the target is the last of them.
local function add_chain(here, order, zone_of, way, target)
  local names = { target }
  for at = #order, 1, -1 do
    local made_by = way == "mixed" and way_names[random(3)] or way
    table.insert(names, 1, ways[made_by](here, zone_of[order:sub(at, at)], names[1]))
  end
  return names
end

local function tlsa_node()
  return { TLSA = { "3 1 1 ${server.spki.sha256}" }, told = { TLSA = { { usable = true } } } }
end

-- Nothing can be added at what a wildcard or a DNAME makes.
local function tlsa(here, base)
  local zone = here:zone_of(base)
  if not here:dname_above(base, zone) and not here:wildcard_for(base) then
    here:add(zone, "_25._tcp." .. base:sub(1, -#zone - 2), tlsa_node())
  end
end

-- What a chain is in front of: adds all and answers the mail domain and the names at which a question may
-- fail.
local roles = {}

-- TLSA records of its own are for the names that a wildcard makes: the TLSA name is an alias of the host
-- then.
local function addresses()
  local node = tlsa_node()
  node.A, node.AAAA = "there", "there"
  return node
end

function roles.host(here, order, zone_of, way)
  local target = here:add(zone_of[order:sub(-1)], nil, addresses())
  tlsa(here, target)
  local names = add_chain(here, order:sub(1, -2), zone_of, way, target)
  tlsa(here, names[1])
  local mx = { { pref = 1, host = names[1] } }
  return here:add("hn.hops", nil, { MX = mx, told = { MX = mx } }), names
end

-- A host that is the mail domain, with neither MX nor brackets.
function roles.domain(here, order, zone_of, way)
  local target = here:add(zone_of[order:sub(-1)], nil, addresses())
  tlsa(here, target)
  local names = add_chain(here, order:sub(1, -2), zone_of, way, target)
  tlsa(here, names[1])
  return names[1], names
end

function roles.mx(here, order, zone_of, way)
  local host = here:add("hn.hops", nil, addresses())
  tlsa(here, host)
  local mx = { { pref = 1, host = host } }
  local target = here:add(zone_of[order:sub(-1)], nil, { MX = mx, told = { MX = mx } })
  local names = add_chain(here, order:sub(1, -2), zone_of, way, target)
  return names[1], names
end

function roles.tlsa(here, order, zone_of, way)
  local host = here:add("hn.hops", nil, addresses())
  local target = here:add(zone_of[order:sub(-1)], nil, tlsa_node())
  local names = add_chain(here, order:sub(1, -2), zone_of, way, target)
  here:add("hn.hops", "_25._tcp." .. host:match("^[^.]+"), { cname = names[1] })
  return "[" .. host .. "]", names
end

-- What fails: types of questions, and how. Forged denials are bogus where something is signed, and where
-- nothing is they take away one family, which lowers nothing; in a zone with too many NSEC3 iterations
-- they may pass (RFC 9276 section 3.2) and do the same.
local faults = {
  { roles = "host domain", types = { "A" }, actions = "servfail silent nodata corrupt" },
  { roles = "host domain", types = { "AAAA" }, actions = "servfail silent nodata corrupt" },
  { roles = "host domain", types = { "A", "AAAA" }, actions = "servfail silent corrupt" },
  { roles = "host domain", types = { "CNAME" }, actions = "servfail" },
  { roles = "host domain", types = { "A", "CNAME" }, actions = "servfail silent" },
  { roles = "host domain", types = { "AAAA", "DNAME" }, actions = "servfail" },
  { roles = "mx domain", types = { "MX" }, actions = "servfail silent corrupt" },
  { roles = "mx domain", types = { "MX", "CNAME" }, actions = "servfail" },
  { roles = "mx", types = { "CNAME", "DNAME" }, actions = "refused" },
  { roles = "tlsa", types = { "TLSA" }, actions = "servfail silent corrupt" },
  { roles = "tlsa", types = { "TLSA", "CNAME" }, actions = "servfail" },
}

-- All passes: a fault at one of the names.
local function passes()
  local list = {}
  for _, fault in ipairs(faults) do
    for action in fault.actions:gmatch("%a+") do
      for hop = 1, LINKS + 1 do
        list[#list + 1] = { fault = fault, action = action, hop = hop }
      end
    end
  end
  return list
end

describe("chains of aliases, seed " .. seed .. ":", function()
  local here, chains = world.new(zones), {}

  setup(function()
    support.reset()
    for _, role in ipairs { "host", "domain", "mx", "tlsa" } do
      for links = 1, LINKS do
        for _, order in ipairs(orders(links + 1)) do
          for _, secure in ipairs(signed) do
            for _, way in ipairs { "cname", "dname", "wildcard", "mixed" } do
              if all or random(4 * support.slow) == 1 then
                local zone_of = { s = secure .. ".hops", u = "hu.hops" }
                local domain, names = roles[role](here, order, zone_of, way)
                chains[#chains + 1] = { role = role, domain = domain, names = names }
              end
            end
          end
        end
      end
    end
    support.lab:add_zones((here:tell()))
  end)
  teardown(function()
    support.close()
    support.lab:clear()
  end)

  -- Plans chains while something fails. Each case is excused: the failing question lies on its way.
  local function look(title, list, pass, totals)
    local domains, rules = {}, {}
    for index, chain in ipairs(list) do
      domains[index] = chain.domain
    end
    local cases = worlds.cases(here, domains, function() return {} end)
    for _, type in ipairs(pass and pass.fault.types or {}) do
      local names = {}
      for index, chain in ipairs(list) do
        local name = chain.names[pass.hop]
        -- The DNAME that makes the name is asked for at its own.
        names[index] = type == "DNAME" and here:dname_above(name, here:zone_of(name)) or name
      end
      rules[#rules + 1] = { names = names, type = type, action = pass.action }
    end
    local silent = pass and pass.action == "silent"
    worlds.run(here, { title = title, rules = rules, timeout = silent and 3 or 10,
      excused = function() return pass ~= nil end }, cases, totals)
  end

  local function assert_right(totals)
    local text = worlds.summary(totals, "seed " .. seed)
    print(text)
    assert(#totals.wrong == 0, ("%s; %d wrong:\n%s"):format(text, #totals.wrong,
      table.concat(totals.wrong, "\n", 1, math.min(#totals.wrong, 20))))
    assert.is_true(totals.owed.dane > 0 and totals.owed.may > 0)
  end

  it("are what the RFC says when all is answered", function()
    local totals = worlds.totals()
    look("nothing fails", chains, nil, totals)
    assert_right(totals)
    assert.equal(0, totals.excused)
  end)

  it("are that, or skip, when a question fails at one name", function()
    local totals = worlds.totals()
    local slow_ones = 0
    for _, pass in ipairs(passes()) do
      local list = {}
      for _, chain in ipairs(chains) do
        if chain.names[pass.hop] and pass.fault.roles:find(chain.role, 1, true)
          and (all or random(pass.action == "silent" and 4 or 10) == 1) then
          list[#list + 1] = chain
        end
      end
      -- A silent server takes seconds, whatever the number of names: of those passes a sample has one.
      local wanted = all or pass.action ~= "silent" or random(8) == 1 and slow_ones == 0
      if wanted and #list > 0 then
        slow_ones = slow_ones + (pass.action == "silent" and 1 or 0)
        local types = table.concat(pass.fault.types, " and ")
        look(("%s of %s at name %d"):format(pass.action, types, pass.hop), list, pass, totals)
        support.close()
      end
    end
    assert_right(totals)
  end)
end)
