-- What fails while a random world is looked at, and which plans can have met it. For worlds.lua.
--
--   failing.passes(seed)                       a list of passes as worlds.run() wants them
--   failing.can_fail(rules, name, type, owner) can a failing question have been asked for this answer?
--                                              owner: of the DNAME that makes the name an alias, or nil
local random_world = require "tests.support.random_world"
local chance = require "tests.lab.chance"

local failing = {}

local asked_types = { A = true, AAAA = true, MX = true, TLSA = true, CNAME = true, DNAME = true }

-- Zones in which nothing passes that is not signed; where denials are insecure it may (RFC 9276 section 3.2,
-- RFC 5155 section 6).
local strict = { "s1", "s2", "s3", "c1" }

-- Rules for a share of all questions, divided among actions: { { action, part }, ... }.
local function rules_for(seed, share, actions, extra)
  local list = {}
  for index, action in ipairs(actions) do
    list[index] = { name = "*." .. random_world.top, action = action[1], share = share * action[2],
      seed = seed * 100 + index, types = asked_types }
    for key, value in pairs(extra or {}) do
      list[index][key] = value or nil
    end
  end
  return list
end

-- A signature that is broken on its way is one kind of failure: where nothing is signed it breaks nothing.
local usual = { { "servfail", 0.6 }, { "refused", 0.2 }, { "corrupt", 0.2 } }

-- What somebody on the way can make of an answer that is signed.
local forged = { { "nodata", 0.3 }, { "nxdomain", 0.3 }, { "strip", 0.4 } }

function failing.passes(seed)
  local list = {
    { title = "all is answered", rules = {} },
    { title = "a tenth fails", rules = rules_for(seed, 0.1, usual), rounds = 2 },
    { title = "a third fails", rules = rules_for(seed + 1, 1 / 3, usual) },
    -- Keys and delegations, too: then whole zones fail.
    { title = "a tenth with keys fails", rules = rules_for(seed + 2, 0.1, usual, { types = false }) },
    -- libunbound asks a few times before it gives up, and then others of the same name are answered.
    { title = "two fifths fail at first", rules = rules_for(seed + 3, 0.4, usual, { first = 12 }),
      rounds = 2 },
    { title = "a fifth is forged", rules = {}, forged = true },
    -- What is late: the deadline ends the plan wherever it is.
    { title = "a third is late", rules = rules_for(seed + 5, 1 / 3, { { "pass", 1 } }, { delay = 150 }),
      deadline = 0.4, always = true },
  }
  for index, zone in ipairs(strict) do
    for _, rule in ipairs(rules_for(seed + 10 * index, 0.2, forged)) do
      rule.name = ("*.%s.%s"):format(zone, random_world.top)
      table.insert(list[6].rules, rule)
    end
  end
  for _, pass in ipairs(list) do
    pass.title = ("seed %d, %s"):format(seed, pass.title)
  end
  return list
end

local function fails(rules, name, type)
  for _, rule in ipairs(rules) do
    local suffix = rule.name:sub(2)
    if (not rule.types or rule.types[type]) and name:sub(-#suffix) == suffix
      and chance.of(rule.seed, name .. " " .. type) < rule.share then
      return true
    end
  end
  return false
end

-- The alias of the name itself; the DNAME above it; A of the names above it, by name minimisation; DS of
-- them, to learn whether one is an insecure delegation; the keys.
function failing.can_fail(rules, name, type, owner)
  if fails(rules, name, type) or fails(rules, name, "CNAME") or owner and fails(rules, owner, "DNAME") then
    return true
  end
  while name and name ~= random_world.top do
    if fails(rules, name, "A") or fails(rules, name, "DS") or fails(rules, name, "DNSKEY")
      or fails(rules, name, "NS") then
      return true
    end
    name = name:match("%.(.*)$")
  end
  return false
end

return failing
