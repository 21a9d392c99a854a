--- Asks one name server of a zone, and no other: a resolver that has it as its only server, and the DS of the
-- zone as its trust anchor.
local keys = require "nexthop.doctor.keys"
local new_driver = require "nexthop.luv.driver"
local nexthop = require "nexthop"
local uv = require "luv"

local M = {}

M.types = { A = 1, NS = 2, CNAME = 5, SOA = 6, MX = 15, TXT = 16, AAAA = 28, DS = 43, DNSKEY = 48,
  NSEC3PARAM = 51, TLSA = 52 }

-- TTLs must be those of the server, and each name must be asked for.
local settings = {
  ["cache-max-ttl"] = "2147483647", ["qname-minimisation"] = "no", ["aggressive-nsec"] = "no",
  ["harden-below-nxdomain"] = "no",
  -- It is asked for one name at a time. A context for a thousand lookups takes 10 MB and four times as long
  -- to make, and many of these are open at once.
  ["outgoing-range"] = "64", ["outgoing-num-tcp"] = "8",
}

--- Makes a resolver, and has the loop of luv run it until the task ends.
-- @return the resolver; or nil and the error
function M.open(task, options)
  local resolver, err = nexthop.new(options)
  if not resolver then return nil, err end
  local driver
  driver = new_driver(uv, resolver, function()
    resolver:process()
    driver:arm()
  end)
  task:finally(function()
    driver:close()
    resolver:close()
  end)
  return resolver, driver
end

--- Returns function(name, type), which asks a resolver and remembers the answers. It sets task.expired when
-- the deadline comes.
-- @param left function() -> seconds that are left; nil: there is no limit
-- @param driver of the resolver; nil: something else runs it
function M.asker(task, resolver, driver, left)
  local answers = {}
  return function(name, type)
    local key = name .. " " .. type
    local known = answers[key]
    if not known then
      local seconds = left()
      if seconds and seconds <= 0 then
        task.expired = true
        return nil, { code = "timeout", message = "the deadline came", expired = true }
      end
      local answer, err = task:await(function(done)
        local handle = resolver:_lookup(name, { type = M.types[type], deadline = seconds }, done)
        if driver then driver:soon() end
        return handle
      end)
      task.expired = task.expired or err and err.expired
      known = { answer, err }
      answers[key] = known
    end
    return known[1], known[2]
  end
end

--- Is there a way to the address? Without IPv6 on this machine nothing is said about servers that have it.
-- @param address with or without @PORT
function M.has_route(address)
  local ip, port = address:match "^([^@#]+)@?(%d*)"
  local socket = uv.new_udp()
  local ok, _, code = socket:connect(ip, tonumber(port) or 53)
  socket:close()
  return ok ~= nil or (code ~= "ENETUNREACH" and code ~= "EADDRNOTAVAIL" and code ~= "EHOSTUNREACH")
end

local Server = {}
Server.__index = Server

--- Opens a server of a zone.
-- @param server { name, address } of zones.lua
-- @param timeout seconds for each lookup; nil: the default
-- @return { name, address, ask, ask_open }; or nil and the error, which is nil where there is no way to it
function M.new(task, zone, server, timeout, left)
  if not M.has_route(server.address) then return nil end
  local self = setmetatable({ name = server.name, address = server.address, zone = zone }, Server)
  local stub = { ["."] = server.address, [zone.name .. "."] = server.address }
  local function asker(anchors)
    local options = { stub = stub, timeout = timeout, options = settings, trust_anchor = anchors }
    if not anchors then options.trust_anchor_file = false end
    local resolver, driver = M.open(task, options)
    if not resolver then return nil, driver end
    return M.asker(task, resolver, driver, left)
  end
  local err
  self.ask_open, err = asker(nil)
  if not self.ask_open then return nil, err end
  local anchors = zone.secure and keys.anchors(zone.name, zone.ds) or {}
  self.is_validated = #anchors > 0
  self.ask = self.is_validated and asker(anchors) or self.ask_open
  return self
end

--- "ns1.example (192.0.2.1)"
function M.text(server)
  if server.name == server.address then return server.name end
  return ("%s (%s)"):format(server.name, server.address)
end

Server.text = M.text

return M
