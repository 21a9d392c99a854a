-- The combinations of downgrade_spec.lua: what can be at the aliases, MX, A, AAAA and TLSA of a mail
-- domain, as nodes of a world. The same seed and share give the same ones under every Lua.
local world = require "tests.support.world"
local generator = require("tests.lab.chance").generator

local combinations = {}
combinations.__index = combinations

local usable, unusable = "3 1 1 ${server.spki.sha256}", "1 0 1 ${server.cert.sha256}"

-- share: of all, 0 to 1.
function combinations.new(seed, share)
  return setmetatable({ world = world.new(), random = generator(seed), share = share }, combinations)
end

function combinations:pick(list)
  return list[self.random(#list)]
end

function combinations:take(chance)
  return self.random(10000) <= 10000 * self.share * chance
end

-- At one address family of a host. The resolver's own data ("local") are not found behind an alias.
local families = { "there", "none", "broken", "servfail", "refused", "silent", "nodata" }
local direct_families = { "local" }
for _, kind in ipairs(families) do
  direct_families[#direct_families + 1] = kind
end

local function family(node, type, kind)
  if kind == "there" or kind == "local" then
    node[type] = kind
  elseif kind == "broken" then
    node[type] = "there"
    node.broken[type] = node.zone ~= "u" or nil
  elseif kind ~= "none" then
    node[type] = "there"
    node.fault[type] = kind
  end
end

-- At a name with TLSA records, or at the end of its aliases.
local function tlsa_node(kind)
  local node = { broken = {}, fault = {}, TLSA = { usable }, told = { TLSA = { { usable = true } } } }
  if kind == "gone" then
    return nil
  elseif kind == "empty" then
    node.TLSA, node.TXT = nil, "there"
  elseif kind == "unusable" then
    node.TLSA, node.told = { unusable }, { TLSA = { { usable = false } } }
  elseif kind == "both" then
    node.TLSA = { unusable, usable }
    node.told.TLSA = { { usable = false }, { usable = true } }
  elseif kind == "broken" then
    node.broken.TLSA = true
  elseif kind ~= "usable" then
    node.fault["*"] = kind
  end
  return node
end

local ends = { "usable", "gone", "empty", "unusable", "both", "broken", "servfail", "refused", "notimp",
  "silent", "nodata", "nxdomain" }

-- Adds what TLSA names are aliases of; sets self.tlsa, the kinds of TLSA names.
function combinations:add_targets()
  local targets = {}
  local function target(zone, node)
    targets[#targets + 1] = node and self.world:add(zone, nil, node) or "missing." .. world.zones[zone]
    return targets[#targets]
  end
  for _, kind in ipairs(ends) do
    local secure = target("s", tlsa_node(kind))
    if kind == "usable" or kind == "broken" or kind == "servfail" or kind == "gone" then
      target("s", { cname = secure })
      target("u", { cname = secure }) -- all behind it is insecure, whatever it is
    end
  end
  local usable_target = targets[1]
  for _, kind in ipairs { "usable", "gone", "servfail", "nodata" } do
    target("u", tlsa_node(kind))
    target("n", tlsa_node(kind))
  end
  self.below = self:targets_below()
  target("s", { cname = usable_target, broken = { CNAME = true } })
  target("s", { cname = usable_target, fault = { ["*"] = "servfail" } })
  target("u", { cname = usable_target, fault = { ["*"] = "servfail" } })
  self.tlsa = { "usable", "usable", "usable", "usable", "usable", "usable", "usable", "usable",
    "unusable", "unusable" } -- and once more below: most that is found should be records
  for _, kind in ipairs(ends) do
    self.tlsa[#self.tlsa + 1] = kind
  end
  for _, name in ipairs(targets) do
    self.tlsa[#self.tlsa + 1] = { alias = name }
  end
  self.tlsa[#self.tlsa + 1] = { alias = usable_target, broken = true }
  for _, name in ipairs(self.below) do
    self.tlsa[#self.tlsa + 1] = { dname = name }
  end
  self.tlsa[#self.tlsa + 1] = { dname = self.below[1], broken = true }
  for _, way in ipairs { "s dname", "o dname", "m dname", "n dname", "u dname", "s wild", "m wild" } do
    self.tlsa[#self.tlsa + 1] = { alias = self:add_way(way, usable_target) }
    self.tlsa[#self.tlsa + 1] = { alias = self:add_way(way, targets[6]) } -- a broken signature
  end
end

-- The same for a DNAME at "_tcp": names that have a "_25" below them. Answers them.
function combinations:targets_below()
  local names = {}
  for _, zone in ipairs { "s", "u", "m" } do
    for _, kind in ipairs { "usable", "unusable", "gone", "broken", "servfail" } do
      local name = self.world:add(zone, nil, { TXT = "there" })
      local node = tlsa_node(kind)
      if node then
        node.broken = zone ~= "u" and node.broken or {}
        self.world:add(zone, "_25." .. name:match("^[^.]+"), node)
      end
      names[#names + 1] = name
    end
  end
  return names
end

-- Puts a kind of self.tlsa at a base domain; `zone` is another than that of the base domain.
function combinations:put_tlsa(base, kind, zone)
  local node
  local label = "_25._tcp"
  if type(kind) == "table" and kind.dname then
    node, label = { dname = kind.dname, broken = { DNAME = kind.broken } }, "_tcp"
  elseif type(kind) == "table" then
    node = { cname = kind.alias, broken = { CNAME = kind.broken } }
  else
    node = tlsa_node(kind)
  end
  if node then
    local at = self:place(base)
    if not at then
      return
    elseif at == "u" or zone then
      node.broken = {}
    end
    if zone then
      self.world:add("_tcp." .. base, "_25", node)
    else
      self.world:add(at, label .. "." .. base:match("^[^.]+"), node)
    end
  end
end

-- The zone of a name, nil for what a wildcard or a DNAME makes: nothing can be added there.
function combinations:place(name)
  return self.world.nodes[name] and self.world.nodes[name].zone
end

-- A name with addresses.
function combinations:add_host(zone, ip4, ip6, tlsa, tlsa_zone)
  local node = { zone = zone, broken = {}, fault = {} }
  family(node, "A", ip4)
  family(node, "AAAA", ip6)
  if not node.A and not node.AAAA and self.random(2) == 1 then
    node.TXT = "there"
  end
  local name = self.world:add(zone, nil, node)
  self:put_tlsa(name, tlsa, tlsa_zone)
  return name
end

-- Kinds of aliases, the first first: a zone's letter, "dname" or "wild" for what makes it, and what is
-- wrong with it.
local ways = { "s", "u", "n", "s broken", "s servfail", "u servfail", "s silent", "s s", "s u", "u s", "n s",
  "s u s", "s s broken", "s u servfail", "u s broken",
  "s dname", "o dname", "m dname", "n dname", "u dname", "s wild", "o wild", "m wild", "u wild",
  "s dname broken", "o dname broken", "m dname broken", "n dname broken", "s wild broken", "m wild broken",
  "s dname servfail", "m dname servfail", "s s dname", "s m dname", "m dname s", "u m dname",
  "s m dname broken", "m dname m dname", "s wild s dname" }

local all_ways = { "" }
for _, way in ipairs(ways) do
  all_ways[#all_ways + 1] = way
end

-- Adds the aliases of one way to a target; answers the first name.
function combinations:add_way(way, target)
  local steps = {}
  for word in way:gmatch("%a+") do
    if #word == 1 then
      table.insert(steps, 1, { zone = word, make = "cname" })
    elseif word == "dname" or word == "wild" then
      steps[1].make = word
    else
      steps[1].wrong = word
    end
  end
  for _, step in ipairs(steps) do
    local label, rest = target:match("^([^.]+)%.(.+)$")
    local node = { broken = {}, fault = {} }
    if step.make == "dname" then
      node.dname, node.broken.DNAME = rest, step.wrong == "broken" or nil
      local owner = self.world:add(step.zone, nil, node)
      target = label .. "." .. owner
      if step.wrong == "servfail" then
        self.world:fail(owner, "servfail") -- else the DNAME itself tells what the alias does not
      end
    else
      node.cname, node.broken.CNAME = target, step.wrong == "broken" or nil
      self.world.number = self.world.number + 1
      local name = (step.make == "wild" and "*.x" or "x") .. self.world.number
      target = self.world:add(step.zone, name, node):gsub("^%*", "w")
    end
    if step.wrong and step.wrong ~= "broken" then
      self.world:fail(target, step.wrong)
    end
  end
  return target
end

function combinations:any_host(zone)
  local function any()
    return self:pick { "there", "there", self:pick(families) }
  end
  return self:add_host(zone, any(), any(), self:pick(self.tlsa))
end

-- The hosts. Answers their names.
function combinations:add_hosts()
  local hosts = {}
  for _, zone in ipairs { "s", "n", "u" } do
    for _, ip4 in ipairs(direct_families) do
      for _, ip6 in ipairs(direct_families) do
        -- With addresses everything can be at the TLSA name, without them it does not matter.
        local found = ip4 == "there" or ip6 == "there"
        local kinds = found and self.tlsa or { "usable", "gone", "servfail" }
        for _, kind in ipairs(kinds) do
          if self:take(zone == "s" and 1 or 0.3) then
            hosts[#hosts + 1] = self:add_host(zone, ip4, ip6, kind)
          end
        end
      end
    end
  end
  for _, way in ipairs(ways) do
    for _, kind in ipairs(self.tlsa) do
      for _ = 1, 3 do
        if self:take(1) then
          local name = self:add_way(way, self:any_host(self:pick { "s", "s", "n", "u" }))
          self:put_tlsa(name, kind)
          hosts[#hosts + 1] = name
        end
      end
    end
  end
  -- TLSA in an unsigned zone of its own.
  for _, kind in ipairs { "usable", "gone", "servfail", { alias = self.tlsa[#self.tlsa].alias } } do
    hosts[#hosts + 1] = self:add_host("s", "there", "there", kind, "own")
  end
  return hosts
end

-- The domains: each of `hosts` is an MX of one that can be looked up. Answers their names.
function combinations:add_domains(hosts)
  local domains = {}
  local function add(way, zone, node)
    node.broken, node.fault = node.broken or {}, node.fault or {}
    local name = self.world:add(zone, nil, node)
    domains[#domains + 1] = way == "" and name or self:add_way(way, name)
    return domains[#domains], name
  end
  local function some_mx(count)
    local records = {}
    for pref = 1, count do
      records[pref] = { pref = pref, host = table.remove(hosts) or self:any_host("s") }
    end
    return records
  end
  local spare = self:any_host("s")
  for _, zone in ipairs { "s", "u", "n" } do
    for _, way in ipairs(all_ways) do
      for _, kind in ipairs { "there", "null", "broken", "servfail", "refused", "notimp", "silent",
        "nodata", "nxdomain", "implicit" } do
        if self:take(1) and kind ~= "implicit" then
          local records = kind == "null" and { { pref = 0, host = "." } }
            or kind == "there" and some_mx(1) or { { pref = 1, host = spare } }
          local node = { MX = records, told = { MX = records } }
          if kind == "broken" then
            node.broken = { MX = zone ~= "u" or nil }
          elseif kind ~= "there" and kind ~= "null" then
            node.fault = { MX = kind }
            node.A, node.AAAA = "there", "there"
          end
          add(way, zone, node)
        elseif kind == "implicit" then
          for _, tlsa in ipairs(self.tlsa) do
            if self:take(0.5) then
              local node = { zone = zone, broken = {}, fault = {}, TXT = "there" }
              family(node, "A", self:pick { "there", "there", self:pick(families) })
              family(node, "AAAA", self:pick { "there", "there", self:pick(families) })
              local domain, name = add(way, zone, node)
              self:put_tlsa(domain, tlsa)
              if domain ~= name then
                self:put_tlsa(name, self:pick(self.tlsa))
              end
            end
          end
        end
      end
      domains[#domains + 1] = way == "" and "missing." .. world.zones[zone]
        or self:add_way(way, "missing." .. world.zones[zone])
    end
  end
  while #hosts > 0 do
    local records = some_mx(math.min(8, #hosts))
    add(self:pick { "", "", "", "s", "s", "n", self:pick(all_ways) },
      self:pick { "s", "s", "s", "s", "n", "u" }, { MX = records, told = { MX = records } })
  end
  return domains
end

-- All of them: the world and the names of its mail domains.
function combinations.make(seed, share)
  local self = combinations.new(seed, share)
  self:add_targets()
  return self.world, self:add_domains(self:add_hosts()), self.random
end

return combinations
