-- What a world of world.lua is told as: to the lab, to nexthop.new, and to whoever reads a failure.

local function each_sorted(nodes)
  local names = {}
  for name in pairs(nodes) do
    names[#names + 1] = name
  end
  table.sort(names)
  local index = 0
  return function()
    index = index + 1
    return names[index], nodes[names[index]]
  end
end

-- The lines of a node in its zone, and those of local data.
local function tell_node(name, node, text, data)
  local owner = name .. ". "
  if node.cname then
    text[#text + 1] = owner .. "CNAME " .. node.cname .. "."
  end
  if node.dname then
    text[#text + 1] = owner .. "DNAME " .. node.dname .. "."
  end
  for type, value in pairs { A = "192.0.2.1", AAAA = "2001:db8::1", TXT = "\"here\"" } do
    if node[type] == "local" then
      data[#data + 1] = ("local-zone: \"%s\" typetransparent"):format(owner:sub(1, -2))
      data[#data + 1] = ("local-data: \"%s%s %s\""):format(owner, type, value)
    elseif node[type] then
      text[#text + 1] = owner .. type .. " " .. value
    end
  end
  for _, record in ipairs(node.TLSA or {}) do
    text[#text + 1] = owner .. "TLSA " .. record
  end
  for _, record in ipairs(node.MX or {}) do
    text[#text + 1] = ("%sMX %d %s."):format(owner, record.pref, record.host:gsub("^%.$", ""))
  end
end

-- Adds the methods to world.
return function(world)
  -- What is at a name and behind it, for the report of a failure.
  function world:describe(name, indent)
    indent = indent or 4
    local zone = self:zone_of(name)
    local owner = zone and self:dname_above(name, zone)
    local at = owner or self.nodes[name] and name
      or zone and not self.parents[name] and self:wildcard_for(name)
    local node = self.nodes[at]
    if not node or indent > 60 then
      return ""
    end
    local parts = {}
    for key, value in pairs(node) do
      if key ~= "told" then
        if type(value) ~= "table" then
          parts[#parts + 1] = key .. "=" .. tostring(value)
        end
        for what, each in pairs(type(value) == "table" and value or {}) do
          parts[#parts + 1] = ("%s.%s=%s"):format(key, what, type(each) == "table" and each.host
            or tostring(each))
        end
      end
    end
    table.sort(parts)
    local text = ("%s%s%s [%s]: %s\n"):format((" "):rep(indent), name, at ~= name and " by " .. at or "",
      self.zone_kinds[zone], table.concat(parts, " "))
    local target = owner and name:sub(1, -#owner - 1) .. node.dname or node.cname
    if target then
      text = text .. self:describe(target, indent + 4)
    end
    for _, record in ipairs(node.MX or {}) do
      text = text .. self:describe(record.host, indent + 4)
    end
    return name:find("^_25%.") and text or text .. self:describe("_25._tcp." .. name, indent + 2)
  end

  -- The stubs for nexthop.new: one for each zone, as if all were found from the root. With those of the
  -- zones above alone libunbound goes looking for servers to prove an insecure delegation, finds none, and
  -- calls bogus what it would else call insecure.
  function world:stub(lab)
    local stub = lab:stub()
    for zone in pairs(self.zone_kinds) do
      stub[zone .. "."] = lab.address
    end
    return stub
  end

  -- The zones, the rules, and the lines of local data of an unbound.conf.
  function world:tell()
    local texts, broken, faults, data = {}, {}, {}, {}
    for zone in pairs(self.zone_kinds) do
      texts[zone] = {}
    end
    for name, node in each_sorted(self.nodes) do
      local zone = world.zones[node.zone] or node.zone
      tell_node(name, node, texts[zone], data)
      for type in pairs(node.broken) do
        broken[zone] = broken[zone] or {}
        broken[zone][name .. ". " .. type] = true
      end
    end
    for name, fault in each_sorted(self.faults) do
      for type, action in pairs(fault) do
        local key = action .. " " .. type
        faults[key] = faults[key] or { action = action, type = type, names = {} }
        table.insert(faults[key].names, name)
      end
    end
    local zones = {}
    for name, text in each_sorted(texts) do
      local kind = world.kinds[self.zone_kinds[name]]
      zones[#zones + 1] = {
        name = name, text = table.concat(text, "\n") .. "\n", corrupt = kind.corrupt or broken[name],
        signed = kind.signed, nsec3 = kind.nsec3, expired = kind.expired, ds = kind.ds,
        drop = kind.drop,
      }
    end
    return zones, faults, data
  end
end
