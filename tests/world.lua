-- A small world of the DNS for downgrade_spec.lua, made by combinations.lua. The same table is told to
-- the lab (zones, rules, the resolver's own data) and to reference.lua (ask).
--
-- The zones: s is signed; u is not; n is signed, and its denials are insecure (NSEC3 with too many
-- iterations; nothing is forged there, as it may pass, RFC 9276 section 3.2). A node is a name:
-- { zone, cname = target, A =, AAAA =, TXT =, MX = { { pref, host } }, TLSA = { record, ... },
-- told = { [type] = what the reference is told of the records }, broken = { [type] = true } (the
-- signature), fault = { [type or "*"] = action of rules.lua } }.
local world = {}
world.__index = world

world.zones = { s = "dgs.example", u = "dgu.example", n = "dgn.example" }

function world.new()
    return setmetatable({ nodes = {}, parents = {}, number = 0 }, world)
end

-- Adds a node; answers its name.
function world:add(zone, label, node)
    if not label then
        self.number = self.number + 1
        label = "x" .. self.number
    end
    local name = label .. "." .. (world.zones[zone] or zone)
    node.zone = zone
    node.broken, node.fault = node.broken or {}, node.fault or {}
    for type, action in pairs(node.fault) do
        if zone == "n" and (action == "nodata" or action == "nxdomain") then
            node.fault[type] = "servfail"
        end
    end
    self.nodes[name] = node
    -- The names above exist, too.
    local above = name:match("%.(.*)$")
    while above and not self.parents[above] do
        self.parents[above] = true
        above = above:match("%.(.*)$")
    end
    return name
end

-- What the reference may know: one answer. See reference.lua.
function world:ask(name, type)
    local node = self.nodes[name]
    local zone = node and node.zone or name:match("(%a)%.example$")
    local signed = zone == "s" or zone == "n"
    local status = signed and "secure" or "insecure"
    local fault = node and (node.fault[type] or node.fault["*"])
    if fault == "nodata" or fault == "nxdomain" then -- forged: what is signed is not denied like this
        return signed and { failed = "bogus" } or { status = status, kind = fault }
    elseif fault then
        return { failed = "failed" }
    elseif node and node.cname then
        return node.broken.CNAME and { failed = "bogus" }
            or { status = status, kind = "alias", target = node.cname }
    elseif node and node[type] then
        if node.broken[type] then
            return { failed = "bogus" }
        end
        return { status = node[type] == "local" and "insecure" or status, kind = "records",
            records = node.told and node.told[type] or { {} } }
    end
    return { status = zone == "s" and "secure" or "insecure",
        kind = (node or self.parents[name]) and "nodata" or "nxdomain" }
end

-- Is something at a name that a resolver which minimises names stumbles over? It asks for A at the name,
-- whatever it wants to know there or below.
function world:is_hard(name)
    local fault = self.nodes[name] and self.nodes[name].fault or {}
    for _, action in pairs(fault) do
        if action == "silent" then
            return true
        end
    end
    return fault.A ~= nil
end

-- Is a denial forged at a name where nothing is signed? It comes without an SOA, and newer releases of
-- libunbound give some of these up as SERVFAIL.
function world:is_forged(name)
    local node = self.nodes[name]
    for _, action in pairs(node and node.zone == "u" and node.fault or {}) do
        if action == "nodata" or action == "nxdomain" then
            return true
        end
    end
    return false
end

-- What is at a name and behind it, for the report of a failure.
function world:describe(name, indent)
    indent = indent or 4
    local node = self.nodes[name]
    if not node or indent > 20 then
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
    local text = ("%s%s: %s\n"):format((" "):rep(indent), name, table.concat(parts, " "))
    if node.cname then
        text = text .. self:describe(node.cname, indent + 4)
    end
    return text .. self:describe("_25._tcp." .. name, indent + 2)
end

-- For the lab ----------------------------------------------------------------------------------

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

-- The zones, the rules, and the lines of local data of an unbound.conf.
function world:tell()
    local texts, broken, faults, data = {}, {}, {}, {}
    for name, node in each_sorted(self.nodes) do
        local zone = world.zones[node.zone] or node.zone
        local text = texts[zone] or {}
        local owner = name .. ". "
        texts[zone] = text
        if node.cname then
            text[#text + 1] = owner .. "CNAME " .. node.cname .. "."
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
        for type in pairs(node.broken) do
            broken[owner .. type] = true
        end
        for type, action in pairs(node.fault) do
            local key = action .. " " .. type
            faults[key] = faults[key] or { action = action, type = type, names = {} }
            table.insert(faults[key].names, name)
        end
    end
    local zones = {}
    for zone, text in each_sorted(texts) do
        local letter = zone:match("^dg(%a)%.example$")
        zones[#zones + 1] = {
            name = zone, text = table.concat(text, "\n") .. "\n", corrupt = broken,
            signed = letter == "s" or letter == "n",
            nsec3 = letter == "n" and { iterations = 2000 } or nil,
        }
    end
    return zones, faults, data
end

return world
