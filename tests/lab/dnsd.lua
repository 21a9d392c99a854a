-- The scriptable DNS server in front of NSD: a transparent proxy over UDP and TCP that counts every
-- query and lets rules (rules.lua) answer in NSD's place.
local uv = require "luv"
local wire = require "tests.lab.wire"
local rules = require "tests.lab.rules"

local dnsd = {}
dnsd.__index = dnsd

local LOG_LIMIT = 20000
local UPSTREAM_PATIENCE = 5000 -- ms; NSD answers at once or is not there

-- upstream: NSD's port on 127.0.0.1. levels: the ports of the NSDs that serve one level of the tree
-- each, by the last part of the address that is asked (see zones.lua, `server`).
function dnsd.new(upstream, levels)
  local self = setmetatable({
    upstream = upstream,
    levels = levels or {},
    rules = rules.new(),
    counts = { udp = {}, tcp = {} },
    log = {},
    held = {},
    together = {},
    waiters = {},
    listeners = {},
    pending = {},
    next_id = 0,
    last = uv.now(), -- when the last query came
  }, dnsd)
  self:open_upstream()
  return self
end

local function big_buffers(socket)
  pcall(uv.recv_buffer_size, socket, 4 * 1024 * 1024)
  pcall(uv.send_buffer_size, socket, 4 * 1024 * 1024)
end

-- Forwarding ---------------------------------------------------------------------------------

function dnsd:open_upstream()
  local socket = uv.new_udp()
  assert(socket:bind("127.0.0.1", 0))
  big_buffers(socket)
  socket:recv_start(function(_, packet)
    if packet and #packet >= 12 then
      local id = packet:sub(1, 2)
      local entry = self.pending[id]
      if entry then
        self.pending[id] = nil
        entry.done(wire.with_id(packet, entry.id))
      end
    end
  end)
  self.upstream_socket = socket
end

-- Asks NSD over UDP; done(packet) with the query's own id, never when NSD is away.
function dnsd:forward_udp(port, packet, done)
  local id, now = nil, uv.now()
  for _ = 1, 65536 do
    self.next_id = (self.next_id + 1) % 65536
    id = wire.put16(self.next_id)
    local entry = self.pending[id]
    if not entry or now - entry.at > UPSTREAM_PATIENCE then
      break
    end
  end
  self.pending[id] = { done = done, id = packet:sub(1, 2), at = now }
  self.upstream_socket:send(wire.with_id(packet, id), "127.0.0.1", port, function() end)
end

-- Calls each(packet) for every whole length-prefixed packet that arrives in chunks.
local function splitter(each)
  local buffer = ""
  return function(chunk)
    buffer = buffer .. chunk
    while #buffer >= 2 do
      local high, low = buffer:byte(1, 2)
      local length = high * 256 + low
      if #buffer < 2 + length then
        return
      end
      local packet = buffer:sub(3, 2 + length)
      buffer = buffer:sub(3 + length)
      each(packet)
    end
  end
end

local function close(handle)
  if not handle:is_closing() then
    handle:close()
  end
end

-- Asks NSD over TCP, a connection a query. failed() when NSD is away.
function dnsd:forward_tcp(port, packet, done, failed)
  local stream = uv.new_tcp()
  stream:connect("127.0.0.1", port, function(err)
    if err then
      close(stream)
      return failed()
    end
    stream:write(wire.put16(#packet) .. packet)
    local split = splitter(function(answer)
      close(stream)
      done(answer)
    end)
    stream:read_start(function(_, chunk)
      if chunk then
        split(chunk)
      else
        close(stream)
        failed()
      end
    end)
  end)
end

-- Clients ------------------------------------------------------------------------------------

local udp_client = { proto = "udp" }
udp_client.__index = udp_client

function udp_client:send(packet)
  local socket = self.listener.udp
  if socket and not socket:is_closing() then
    socket:send(packet, self.ip, self.port, function() end)
  end
end

function udp_client.close() end
udp_client.reset = udp_client.close
udp_client.send_half = udp_client.send

local tcp_client = { proto = "tcp" }
tcp_client.__index = tcp_client

function tcp_client:send(packet)
  if not self.stream:is_closing() then
    self.stream:write(wire.put16(#packet) .. packet)
  end
end

function tcp_client:send_half(packet)
  if not self.stream:is_closing() then
    self.stream:write(wire.put16(#packet) .. packet:sub(1, math.floor(#packet / 2)), function()
      self:close()
    end)
  end
end

function tcp_client:close()
  close(self.stream)
end

function tcp_client:reset()
  if not self.stream:is_closing() then
    self.stream:close_reset()
  end
end

-- Queries ------------------------------------------------------------------------------------

function dnsd:count(query, client)
  self.last = uv.now()
  local key = query.name .. " " .. query.type
  local counts = self.counts[client.proto]
  counts[key] = (counts[key] or 0) + 1
  if #self.log < LOG_LIMIT then
    self.log[#self.log + 1] = {
      name = query.name, type = query.type, proto = client.proto,
      address = client.address, ["do"] = query["do"] or false, cd = query.cd,
    }
  end
  for index = #self.waiters, 1, -1 do
    if self.waiters[index]() then
      table.remove(self.waiters, index)
    end
  end
end

-- How many queries came: name and type may be "*", proto nil for both.
function dnsd:total(name, type, proto)
  local sum = 0
  for each, counts in pairs(self.counts) do
    if not proto or proto == each then
      for key, count in pairs(counts) do
        local key_name, key_type = key:match("^(.*) (.-)$")
        if (name == "*" or name == key_name) and (type == "*" or type == key_type) then
          sum = sum + count
        end
      end
    end
  end
  return sum
end

function dnsd:reset()
  self.counts = { udp = {}, tcp = {} }
  self.log = {}
end

function dnsd:handle(packet, client)
  local query = wire.query(packet)
  if not query then
    return
  end
  self:count(query, client)
  local port = client.listener.view and self.levels[client.address:match("%d+$")] or self.upstream
  local function forward(question, done)
    local function finish(answer)
      answer = wire.without_data(answer)
      if client.listener.view then
        answer = wire.with_servers_at(answer, client.listener.view)
      end
      done(client.ra and wire.as_forwarder(answer) or answer)
    end
    if client.proto == "tcp" then
      self:forward_tcp(port, question, finish, function()
        client:close()
      end)
    else
      self:forward_udp(port, question, finish)
    end
  end
  local rule = self.rules:match(query, client)
  if not rule then
    return rules.actions.pass(query, nil, client, forward)
  end
  local function act()
    rules.actions[rule.action](query, rule, client, forward)
  end
  if rule.first then
    self:answer_together(rule, query.name .. " " .. query.type, act)
  elseif rule.hold then
    self.held[#self.held + 1] = { id = rule.id, act = act }
  elseif rule.delay then
    local timer = uv.new_timer()
    timer:start(rule.delay, 0, function()
      timer:close()
      act()
    end)
  else
    act()
  end
end

-- The first question with this key is answered after rule.first milliseconds, and those that come
-- meanwhile with it; later ones at once.
function dnsd:answer_together(rule, key, act)
  local waiting = self.together[rule.id] or {}
  self.together[rule.id] = waiting
  if waiting[key] == "answered" then
    act()
  elseif waiting[key] then
    table.insert(waiting[key], act)
  else
    waiting[key] = { act }
    local timer = uv.new_timer()
    timer:start(rule.first, 0, function()
      timer:close()
      local acts = waiting[key]
      waiting[key] = "answered"
      for _, each in ipairs(acts) do
        each()
      end
    end)
  end
end

-- Lets go the answers that wait for a rule (all that wait, without an id); returns how many.
function dnsd:release(id)
  local held, released = self.held, 0
  self.held = {}
  for _, entry in ipairs(held) do
    if not id or entry.id == id then
      released = released + 1
      entry.act()
    else
      self.held[#self.held + 1] = entry
    end
  end
  return released
end

function dnsd:add_rule(rule)
  local id, err = self.rules:add(rule)
  self:update_tcp()
  return id, err
end

function dnsd:remove_rule(id)
  local found = self.rules:remove(id)
  self:update_tcp()
  return found
end

-- Forgets all rules and drops the answers that were held back.
function dnsd:clear()
  self.rules:clear()
  self.held = {}
  self:update_tcp()
end

-- Listening ----------------------------------------------------------------------------------

function dnsd:accept(listener)
  local stream = uv.new_tcp()
  listener.tcp:accept(stream)
  local client = setmetatable({
    stream = stream, listener = listener, address = listener.address, ra = listener.ra,
  }, tcp_client)
  local split = splitter(function(packet)
    self:handle(packet, client)
  end)
  stream:read_start(function(_, chunk)
    if chunk then
      split(chunk)
    else
      close(stream)
    end
  end)
end

function dnsd:open_tcp(listener)
  local tcp = uv.new_tcp()
  local ok, err = tcp:bind(listener.address, listener.port)
  if ok then
    listener.tcp = tcp
    ok, err = tcp:listen(1024, function()
      self:accept(listener)
    end)
  end
  if not ok then
    listener.tcp = nil
    close(tcp)
  end
  return ok, err
end

function dnsd:update_tcp()
  local refuse = self.rules:refuses_tcp()
  for _, listener in ipairs(self.listeners) do
    if refuse and listener.tcp then
      close(listener.tcp)
      listener.tcp = nil
    elseif not refuse and not listener.tcp and listener.udp then
      self:open_tcp(listener)
    end
  end
end

-- Listens on an address, UDP and TCP on one port (0: a free one). ra: as a forwarder would answer.
-- view: "127.X.Y", where the tree's servers seem to be for who asks here (see zones.lua, `server`).
-- Returns the port, or nil and why not.
function dnsd:listen(address, port, ra, view)
  for _, listener in ipairs(self.listeners) do
    if listener.address == address and listener.port == port then
      return port
    end
  end
  local reason
  for _ = 1, 20 do
    local udp = uv.new_udp()
    local ok, err = udp:bind(address, port)
    if not ok then
      close(udp)
      return nil, err
    end
    local listener = {
      address = address, port = udp:getsockname().port, ra = ra, udp = udp, view = view,
    }
    ok, reason = self:open_tcp(listener)
    if ok then
      big_buffers(udp)
      udp:recv_start(function(_, packet, from)
        if packet and from then
          self:handle(packet, setmetatable({
            listener = listener, address = address, ra = ra, ip = from.ip, port = from.port,
          }, udp_client))
        end
      end)
      self.listeners[#self.listeners + 1] = listener
      return listener.port
    end
    close(udp)
  end
  return nil, reason
end

return dnsd
