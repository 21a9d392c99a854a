-- A small world of the DNS for downgrade_spec.lua, random_worlds_spec.lua and damage_spec.lua, made by
-- combinations.lua and random_world.lua. The same table is told to the lab (zones, rules, the resolver's own
-- data) and to reference.lua (ask).
--
-- A zone is a name and a kind, see world.kinds. A node is a name: { zone, cname = target, dname = target,
-- A =, AAAA =, TXT =, MX = { { pref, host } }, TLSA = { record, ... }, told = { [type] = what the
-- reference is told of the records }, broken = { [type] = true } (the signature), fault = { [type or "*"]
-- = action of rules.lua } }. The name of a wildcard begins with "*.".
local world = {}
world.__index = world

-- What a validator says of the answers of a zone (RFC 4035, RFC 5155, RFC 6672, RFC 9276):
--   signed     what is there is secure, when the zone above it is
--   denials    "insecure": so are all denials, and what a wildcard makes, as the proof that the name itself
--              does not exist does not count (too many NSEC3 iterations, RFC 9276 section 3.2)
--   names      "insecure": so is the proof that a name does not exist, alone (opt-out, RFC 5155 section 6),
--              and what a wildcard makes
--   insecure   it is signed, and that does not count
--   bogus      nothing in it can be validated
world.kinds = {
  nsec = { signed = true },
  nsec3 = { signed = true, nsec3 = { iterations = 1 } },
  optout = { signed = true, nsec3 = { iterations = 1, optout = true }, names = "insecure" },
  many = { signed = true, nsec3 = { iterations = 600 }, denials = "insecure" },
  more = { signed = true, nsec3 = { iterations = 2000 }, denials = "insecure" },
  edge = { signed = true, nsec3 = { iterations = 150 } }, -- as many as count
  unsigned = { signed = false },
  unknown = { signed = true, ds = "unknown", insecure = true }, -- the DS names an unknown algorithm
  corrupt = { signed = true, bogus = true, corrupt = { ["*"] = true } },
  expired = { signed = true, bogus = true, expired = true },
  wrongds = { signed = true, bogus = true, ds = "other" },
  keyless = { signed = true, bogus = true, drop = { DNSKEY = true } },
}

-- The zones of combinations.lua by their letter: s is signed; u is not; o is signed with opt-out; n and m are
-- signed, and their denials are insecure (nothing is forged there, as it may pass, RFC 9276 section 3.2).
world.zones = {
  s = "dgs.example", u = "dgu.example", n = "dgn.example", m = "dgm.example", o = "dgo.example",
}
local letters = { s = "nsec", u = "unsigned", n = "more", m = "many", o = "optout" }

-- zones: list of { name, kind }; those of combinations.lua by default.
function world.new(zones)
  local self = setmetatable({ nodes = {}, parents = {}, number = 0, zone_kinds = {}, faults = {} }, world)
  if not zones then
    zones = {}
    for letter, kind in pairs(letters) do
      zones[#zones + 1] = { world.zones[letter], kind }
    end
  end
  for _, zone in ipairs(zones) do
    self.zone_kinds[zone[1]] = zone[2]
    self:exists(zone[1])
  end
  return self
end

-- The name exists, and so do the names above it.
function world:exists(name)
  while name and not self.parents[name] do
    self.parents[name] = true
    name = name:match("%.(.*)$")
  end
end

-- Adds a node; answers its name. A zone that is not there yet is one of its own, unsigned. Label "@" is
-- the zone's own name.
function world:add(zone, label, node)
  if not label then
    self.number = self.number + 1
    label = "x" .. self.number
  end
  local zone_name = world.zones[zone] or zone
  local name = label == "@" and zone_name or label .. "." .. zone_name
  node.zone = zone
  node.broken, node.fault = node.broken or {}, node.fault or {}
  if not self.zone_kinds[zone_name] then
    self.zone_kinds[zone_name] = "unsigned"
  end
  for type, action in pairs(node.fault) do
    if zone:find("^[nmo]$") and (action == "nodata" or action == "nxdomain") then
      node.fault[type] = "servfail"
    end
  end
  self.nodes[name] = node
  self.faults[name] = node.fault
  self:exists(name)
  return name
end

local function above(name)
  return name:match("%.(.*)$")
end

-- The zone that a name is in; nil outside of this world.
function world:zone_of(name)
  while name and not self.zone_kinds[name] do
    name = above(name)
  end
  return name
end

-- Is what is there in a zone "secure", "insecure" or "bogus"? That of the zones above counts, too.
function world:trust(zone)
  local kind = world.kinds[self.zone_kinds[zone]]
  local outer = above(zone) and self:zone_of(above(zone))
  local trust = outer and self:trust(outer) or "secure"
  if trust ~= "secure" then
    return trust
  end
  return kind.bogus and "bogus" or kind.signed and not kind.insecure and "secure" or "insecure"
end

-- The DNAME above a name in its zone: its owner; nil when there is none. The highest counts: what is
-- below a DNAME is not there.
function world:dname_above(name, zone)
  local found
  while name ~= zone do
    name = above(name)
    if self.nodes[name] and self.nodes[name].dname then
      found = name
    end
  end
  return found
end

-- The wildcard that makes a name (RFC 4592): its owner; nil when there is none.
function world:wildcard_for(name)
  repeat
    name = above(name)
  until self.parents[name]
  return self.nodes["*." .. name] and "*." .. name
end

-- What the reference may know: one answer. See reference.lua. A question of type DNAME is never asked there.
-- from_cache: a signed DNAME is in the resolver's cache, from another question, and answers for all names
-- below it, those too for which the server fails (RFC 6672 section 3.4).
function world:ask(name, type, from_cache)
  local zone = self:zone_of(name)
  local kind = world.kinds[self.zone_kinds[zone]]
  local trust = self:trust(zone)
  local fault = self:fault_at(name, type)
  if from_cache and trust == "secure" and self:dname_above(name, zone) then
    fault = nil
  end
  if fault == "nodata" or fault == "nxdomain" then -- forged: what is signed is not denied like this
    return trust ~= "insecure" and { failed = "bogus" } or { status = "insecure", kind = fault }
  elseif fault then
    return { failed = "failed" }
  elseif trust == "bogus" then
    return { failed = "bogus" }
  end

  local function status(lowered)
    return trust == "secure" and not lowered and "secure" or "insecure"
  end
  local owner = self:dname_above(name, zone)
  if owner then
    local node = self.nodes[owner]
    local target = name:sub(1, -#owner - 1) .. node.dname
    return trust == "secure" and node.broken.DNAME and { failed = "bogus" }
      or { status = status(), kind = "alias", target = target, owner = owner }
  end
  local node, made = self.nodes[name], nil
  if not node and not self.parents[name] then
    made = self:wildcard_for(name)
    node = made and self.nodes[made]
  end
  made = made and (kind.denials or kind.names) -- the name itself does not exist: is that proven?
  if node and node.cname then
    return trust == "secure" and node.broken.CNAME and { failed = "bogus" }
      or { status = status(made), kind = "alias", target = node.cname }
  elseif node and node[type] then
    if trust == "secure" and node.broken[type] then
      return { failed = "bogus" }
    end
    return { status = status(made or node[type] == "local"), kind = "records",
      records = node.told and node.told[type] or { {} } }
  elseif node or self.parents[name] then
    return { status = status(made or kind.denials), kind = "nodata" }
  end
  return { status = status(kind.denials or kind.names), kind = "nxdomain" }
end

-- Questions for a name fail that is no node, but what a wildcard or a DNAME makes.
function world:fail(name, action)
  self.faults[name] = { ["*"] = action }
end

function world:fault_at(name, type)
  local fault = self.faults[name]
  return fault and (fault[type] or fault["*"])
end

-- Is something at a name that a resolver which minimises names stumbles over? It asks for A at the name,
-- whatever it wants to know there or below.
function world:is_hard(name)
  local fault = self.faults[name] or {}
  for _, action in pairs(fault) do
    if action == "silent" then
      return true
    end
  end
  return fault.A ~= nil
end

-- Is something behind an insecure alias that cannot be answered, for a TLSA name that leads there? Its
-- candidate counts as absent (RFC 7672 section 2.2.3), but libunbound gives the whole question up, which it
-- does with more than ten aliases, too, and its CNAME questions cannot tell where a DNAME made one of the
-- aliases: such a host may be `skip`, which is safe.
function world:fails_behind(name)
  local insecure, by_dname, failed
  for links = 1, 20 do
    local answer = self:ask(name, "TLSA")
    failed = answer.failed or links > 10
    if answer.kind ~= "alias" then
      break
    end
    insecure = insecure or answer.status == "insecure"
    by_dname = by_dname or answer.owner
    name = answer.target
  end
  return failed and insecure and by_dname
end

-- Answers an ask() for reference.lua that remembers what is asked, in asked: { { name, type, owner of the
-- DNAME } }; asked.alias: an alias was among it; asked.behind: an insecure one was, and what is behind it
-- anybody can forge, signed or not; asked.odd: fails_behind() one of the TLSA names.
-- from_cache: as for ask().
function world:asking(asked, from_cache)
  local behind = {}
  return function(name, type)
    local answer = self:ask(name, type, from_cache)
    asked[#asked + 1] = { name, type, answer.owner }
    asked.odd = asked.odd or type == "TLSA" and self:fails_behind(name)
    asked.alias = asked.alias or answer.kind == "alias"
    if answer.kind == "alias" and (behind[name] or answer.status ~= "secure") then
      behind[answer.target], asked.behind = true, true
    end
    return answer
  end
end

-- Is a denial forged at a name where nothing is signed? It comes without an SOA, and newer releases of
-- libunbound give some of these up as SERVFAIL.
function world:is_forged(name)
  local node = self.nodes[name]
  for _, action in pairs(node and node.zone == "u" and self.faults[name] or {}) do
    if action == "nodata" or action == "nxdomain" then
      return true
    end
  end
  return false
end

require "tests.support.world_told"(world)

return world
