-- Worlds by chance for random_worlds_spec.lua and damage_spec.lua: mail domains whose MX, addresses and
-- TLSA records lie behind aliases of every kind, in zones of every kind, broken here and there. A seed
-- always makes the same world.
--
--   local here, domains = random_world.make(seed, count)        count mail domains
local world = require "tests.support.world"
local chance = require "tests.lab.chance"

local random_world = {}
random_world.__index = random_world

random_world.top = "rnd"

-- The zones; a name of two labels is below another of them. How often each is taken for a name.
local zones = {
  { "s1", "nsec", 12 }, { "s2", "nsec", 8 }, { "s3", "nsec3", 8 }, { "o1", "optout", 6 },
  { "h1", "many", 5 }, { "h2", "more", 4 }, { "u1", "unsigned", 6 }, { "u2", "unsigned", 3 },
  { "in.s1", "nsec", 3 },     -- a signed zone below each kind of zone
  { "in.h1", "edge", 3 },
  { "k1", "unknown", 3 },     -- signed in vain
  { "c1", "nsec", 3 }, { "c2", "optout", 2 }, -- a wildcard makes all that is not there: catch_all()
  { "in.o1", "nsec", 3 },
  { "in.u1", "nsec", 2 },     -- signed, and nobody says so
  { "un.h2", "unsigned", 2 }, -- an unsigned one
  { "un.o1", "unsigned", 2 },
  -- Unsigned zones of TLSA names, below hosts of signed ones.
  { "_tcp.own.s1", "unsigned", 0 }, { "_tcp.own.h1", "unsigned", 0 }, { "_tcp.own.o1", "unsigned", 0 },
  { "b1", "corrupt", 1 }, { "b2", "expired", 1 }, { "b3", "wrongds", 1 }, { "b4", "keyless", 1 },
}

local usable, unusable = "3 1 1 ${server.spki.sha256}", "1 0 1 ${server.cert.sha256}"

function random_world:pick(list)
  return list[self.random(#list)]
end

-- True in `percent` of all cases.
function random_world:maybe(percent)
  return self.random(100) <= percent
end

function random_world:zone()
  return self:pick(self.lots)
end

-- Breaks the signature of a node's records of a type, now and then. Nothing is signed in an unsigned zone.
function random_world:breaks(zone, type)
  if world.kinds[self.world.zone_kinds[zone]].signed and self:maybe(3) then
    return { [type] = true }
  end
  return {}
end

-- One more alias in front of a name: a CNAME, one by a wildcard, or a DNAME. Answers its name.
function random_world:alias(target, zone)
  zone = zone or self:zone()
  local label, rest = target:match("^([^.]+)%.(.+)$")
  local way = self.random(10)
  if way <= 3 then
    local owner = self.world:add(zone, nil, { dname = rest, broken = self:breaks(zone, "DNAME") })
    return label .. "." .. owner
  elseif way <= 5 then
    local owner = self.world:add(zone, "*.x" .. self:number(), {
      cname = target, broken = self:breaks(zone, "CNAME"),
    })
    return "w" .. self.random(9) .. owner:sub(2)
  end
  return self.world:add(zone, nil, { cname = target, broken = self:breaks(zone, "CNAME") })
end

function random_world:number()
  self.world.number = self.world.number + 1
  return self.world.number
end

-- Up to four aliases in front of a name; the zones of each are anew by chance.
function random_world:aliases(target)
  local count = self:pick { 1, 1, 1, 2, 2, 3, 4 }
  if self:maybe(1) then
    count = 17 -- more than is followed
  end
  for _ = 1, count do
    target = self:alias(target)
  end
  return target
end

local function tlsa_node(kind)
  local told = { usable = { { usable = true } }, unusable = { { usable = false } },
    both = { { usable = false }, { usable = true } } }
  local records = { usable = { usable }, unusable = { unusable }, both = { unusable, usable } }
  return { TLSA = records[kind], told = { TLSA = told[kind] }, TXT = not records[kind] and "here" or nil }
end

function random_world:tlsa_kind()
  return self:pick { "usable", "usable", "usable", "usable", "usable", "unusable", "both", "none" }
end

-- Where is a name? Its zone and what is in front of it. Nil for what a wildcard or a DNAME makes: nothing can
-- be added there.
function random_world:place(name)
  local zone = self.world:zone_of(name)
  if self.world:dname_above(name, zone) then
    return nil
  elseif not self.world.nodes[name] and self.world:wildcard_for(name) and not self:maybe(10) then
    return nil -- one in ten: then it exists and the wildcard makes it no more
  end
  return zone, name == zone and "" or "." .. name:sub(1, -#zone - 2)
end

-- TLSA records, or what leads to some, at a base domain.
function random_world:put_tlsa(base)
  local zone, rest = self:place(base)
  if not zone then
    return
  end
  local way, kind = self.random(20), self:tlsa_kind()
  local node = tlsa_node(kind)
  if way <= 10 then
    node.broken = node.TLSA and self:breaks(zone, "TLSA")
    self.world:add(zone, "_25._tcp" .. rest, node)
  elseif way <= 13 then
    self.world:add(zone, "*._tcp" .. rest, node)
  else
    local label = way <= 16 and "_25" or nil
    local at = self:zone()
    if label then
      at = ("x%d.%s"):format(self:number(), at)
    end
    local target = self:add_at(at, label, node)
    if self:maybe(50) and not label then
      target = self:aliases(target)
    end
    local alias = { cname = target }
    if label then
      alias = { dname = target:match("%.(.+)$"), broken = self:breaks(zone, "DNAME") }
    else
      alias.broken = self:breaks(zone, "CNAME")
    end
    self.world:add(zone, (label and "_tcp" or self:maybe(20) and "*._tcp" or "_25._tcp") .. rest, alias)
  end
end

-- As world:add(), below a name that is no zone of its own.
function random_world:add_at(name, label, node)
  local zone = self.world:zone_of(name)
  local rest = name == zone and "" or "." .. name:sub(1, -#zone - 2)
  node.broken = node.TLSA and self:breaks(zone, "TLSA")
  return self.world:add(zone, label and label .. rest or "x" .. self:number() .. rest, node)
end

-- Addresses into a node.
function random_world:families(node, zone)
  local way = self.random(20)
  node.broken = node.broken or {}
  if way <= 17 then
    node.A = way <= 13 and "there" or nil
    node.AAAA = (way <= 9 or way > 13) and "there" or nil
    for _, type in ipairs { "A", "AAAA" } do
      node.broken[type] = node[type] and self:breaks(zone, type)[type]
    end
  else
    node.TXT = "here"
  end
  return node
end

-- A host, behind aliases or not. Answers its name.
function random_world:host()
  local zone = self:zone()
  local name
  local own = self.world.zone_kinds["_tcp.own." .. zone]
  if own and not self.world.nodes["own." .. zone] then
    name = self.world:add(zone, "own", self:families({}, zone))
    self.world:add("_tcp." .. name, "_25", tlsa_node(self:tlsa_kind()))
    return self:maybe(50) and self:alias(name) or name
  elseif self:maybe(10) then
    local owner = self.world:add(zone, "*.x" .. self:number(), self:families({}, zone))
    name = "h" .. owner:sub(2)
  else
    name = self.world:add(zone, nil, self:families({}, zone))
  end
  if self:maybe(70) then
    self:put_tlsa(name)
  end
  local node = self.world.nodes[name]
  if node and self:maybe(10) then
    node.TLSA, node.told = { usable }, { TLSA = { { usable = true } } } -- for what wildcards lead to
  end
  if self:maybe(55) then
    name = self:aliases(name)
    if self:maybe(75) then
      self:put_tlsa(name)
    end
  end
  if self:maybe(1) then
    local loop = self.world:add(self:zone(), nil, { cname = name })
    self.world.nodes[loop].cname = self.world:add(self:zone(), nil, { cname = loop })
    return loop
  end
  return name
end

-- A mail domain. Answers its name.
function random_world:domain()
  local zone, way, node, name = self:zone(), self.random(20), {}, nil
  if way <= 14 then
    node.MX, node.broken = {}, self:breaks(zone, "MX")
    for index = 1, self:pick { 1, 1, 2, 3 } do
      node.MX[index] = { pref = index, host = self:host() }
    end
  elseif way == 15 then
    node.MX = { { pref = 0, host = "." } }
  elseif way == 16 then
    name = (self:maybe(70) and "missing." or "") .. zone
  else
    self:families(node, zone)
  end
  node.told = { MX = node.MX }
  if name then
    return self:maybe(60) and self:aliases(name) or name
  elseif self:maybe(10) then
    local owner = self.world:add(zone, "*.x" .. self:number(), node)
    name = "m" .. owner:sub(2)
  else
    name = self.world:add(zone, nil, node)
  end
  if not node.MX and self:maybe(70) then
    self:put_tlsa(name)
  end
  if self:maybe(35) then
    name = self:aliases(name)
    if not node.MX and self:maybe(70) then
      self:put_tlsa(name)
    end
  end
  return name
end

-- All names of a zone that are not there are an alias, or have addresses, MX and TLSA records.
function random_world:catch_all(zone)
  zone = zone .. "." .. random_world.top
  if self:maybe(50) then
    self.world:add(zone, "*", { cname = self:host() })
  else
    local node = self:families({ TLSA = { usable }, MX = { { pref = 1, host = self:host() } } }, zone)
    node.told = { TLSA = { { usable = true } }, MX = node.MX }
    self.world:add(zone, "*", node)
  end
end

function random_world.make(seed, count)
  local list, lots = { { random_world.top, "nsec" } }, {}
  for _, zone in ipairs(zones) do
    local name = zone[1] .. "." .. random_world.top
    list[#list + 1] = { name, zone[2] }
    for _ = 1, zone[3] do
      lots[#lots + 1] = name
    end
  end
  local self = setmetatable({
    world = world.new(list), random = chance.generator(seed), lots = lots,
  }, random_world)
  for _ = 1, 20 do
    self.random(2) -- small seeds begin alike
  end
  self:catch_all("c1")
  self:catch_all("c2")
  local domains, seen = {}, {}
  while #domains < count do
    local domain = self:domain()
    if self.random(10) == 1 then
      domain = "[" .. self:host() .. "]" -- a host itself
    end
    if not seen[domain] then
      seen[domain] = true
      domains[#domains + 1] = domain
    end
  end
  return self.world, domains, self.random
end

return random_world
