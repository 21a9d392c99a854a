--- Asks one name server of a zone, and no other: a resolver that has it as its only server, and the DS of the
-- zone as its trust anchor.
local keys = require "nexthop.doctor.keys"
local new_gate = require "nexthop.doctor.gate"
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
  -- to make, and several of these are open at once.
  ["outgoing-range"] = "64", ["outgoing-num-tcp"] = "8",
}

-- So many servers of a task are open at a time. Each has two resolvers, and each of these takes 2 ms to make,
-- 1.6 MB and 5 descriptors. Eight checks of the monitor side by side then take 640 descriptors at most, and
-- many systems give a process 1,024. A silent server is waited for until one lookup has timed out (10 s). So
-- three zones with 8 servers each that are all silent take 30 s, and the monitor gives a check 120 s.
local OPEN_AT_A_TIME = 8

--- Makes a resolver, and has the loop of luv run it until the task ends.
-- @return the resolver, its driver, and function(), which closes it earlier; or nil and the error
function M.open(task, options)
  local resolver, err = nexthop.new(options)
  if not resolver then return nil, err end
  local driver
  driver = new_driver(uv, resolver, function()
    resolver:process()
    driver:arm()
  end)
  local close = task:finally(function()
    driver:close()
    resolver:close()
  end)
  return resolver, driver, close
end

-- The error in place of an answer when the deadline has come; nil: there is time left.
local function expiry(task, left)
  local seconds = left()
  if not seconds or seconds > 0 then return nil, seconds end
  task.expired = true
  return { code = "timeout", message = "the deadline came", expired = true }
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
      local expired, seconds = expiry(task, left)
      if expired then return nil, expired end
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

-- Makes the resolvers of a server. The functions that close them are added to a list.
local function open(task, zone, server, timeout, left, closers)
  local self = setmetatable({ name = server.name, address = server.address, zone = zone }, Server)
  local stub = { ["."] = server.address, [zone.name .. "."] = server.address }
  local function asker(anchors)
    local options = { stub = stub, timeout = timeout, options = settings, trust_anchor = anchors }
    if not anchors then options.trust_anchor_file = false end
    local resolver, driver, close = M.open(task, options)
    if not resolver then return nil, driver end
    closers[#closers + 1] = close
    return M.asker(task, resolver, driver, left)
  end
  local err
  self.ask_open, err = asker(nil)
  if not self.ask_open then return nil, err end
  local anchors = zone.secure and keys.anchors(zone.name, zone.ds) or {}
  self.is_validated = #anchors > 0
  self.ask = self.ask_open
  if self.is_validated then self.ask, err = asker(anchors) end
  if not self.ask then return nil, err end
  return self
end

--- Opens a server of a zone, and closes it again as soon as it has been asked. It waits while many servers of
-- the task are open.
-- @param server { name, address } of zones.lua
-- @param timeout seconds for each lookup; nil: the default
-- @param left function() -> seconds that are left; nil: there is no limit
-- @param visit function({ name, address, ask, ask_open, is_validated }), which asks it
-- @return true; or nil and the error, which is nil where there is no way to it
function M.visit(task, zone, server, timeout, left, visit)
  if not M.has_route(server.address) then return nil end
  task.gate = task.gate or new_gate(task, OPEN_AT_A_TIME)
  task.gate:enter()
  local closers, one = {}, nil
  local err = expiry(task, left)
  if not err then
    one, err = open(task, zone, server, timeout, left, closers)
  end
  if one then
    visit(one)
    one.ask, one.ask_open = nil, nil -- they would keep the resolvers and all answers
  end
  for _, close in ipairs(closers) do close() end
  task.gate:leave()
  return one and true, err
end

--- "ns1.example (192.0.2.1)"
function M.text(server)
  if server.name == server.address then return server.name end
  return ("%s (%s)"):format(server.name, server.address)
end

Server.text = M.text

return M
