--- A client of nexthop.server on luv: the calls of a resolver, answered by another process. Results and
-- errors are what the resolver would have given, metatables and all.
--
--   local client = require("nexthop.client").new "/run/nexthop/nexthop.sock"
--   print(client:plan "example.org")
--   client:sender("example.org", function(answer, err) print(err or answer.finding) end)
local errors = require "nexthop.errors"
local new_lines = require "nexthop.luv.lines"
local protect = require "nexthop.protect"
local protocol = require "nexthop.server.protocol"
local signals = require "nexthop.luv.signals"

local M = {}

local longest_line = 16777216 -- bytes of an answer; a plan with 1,000 hosts has about one million

local Client = {}
Client.__index = Client

--- Makes a client; it connects when it is first used, and again when the connection was lost.
function M.new(path, options)
  return setmetatable({
    uv = options and options.uv or require "luv", path = path, waiting = {}, last = 0, lines = new_lines(),
  }, Client)
end

local function closed(self, reason)
  return select(2, protocol.restore("", { error = errors.new("closed", "%s: %s", self.path, reason) }))
end

-- The connection is gone, and with it the answers to come.
local function lose(self, reason)
  local pipe, waiting = self.pipe, self.waiting
  self.pipe, self.waiting, self.lines = nil, {}, new_lines()
  if pipe and not pipe:is_closing() then pipe:close() end
  if self.sigpipe then self.sigpipe:close() end
  self.sigpipe = nil
  local ids = {}
  for id in pairs(waiting) do ids[#ids + 1] = id end
  table.sort(ids)
  for _, id in ipairs(ids) do waiting[id].callback(nil, closed(self, reason)) end
end

local function take(self, line)
  local answer, reason = protocol.decode(line)
  if not answer then return lose(self, reason) end
  if answer.id == nil then
    local err = answer.error
    return lose(self, type(err) == "table" and protect.text(err.message) or "an answer to nothing")
  end
  local waiting = self.waiting[answer.id]
  if not waiting then return end
  self.waiting[answer.id] = nil
  waiting.callback(protocol.restore(waiting.op, answer))
end

local function feed(self, pipe, chunk)
  self.lines:push(chunk)
  while self.pipe == pipe do
    local line = self.lines:next()
    if not line then break end
    take(self, line)
  end
  if self.pipe == pipe and self.lines:length() > longest_line then lose(self, "an answer without an end") end
end

local function connect(self)
  local pipe = self.uv.new_pipe(false)
  self.pipe = pipe
  local ok, err = pipe:connect(self.path, function(reason)
    if self.pipe ~= pipe then return end
    if reason then return lose(self, reason) end
    pipe:read_start(function(failed, chunk)
      if self.pipe ~= pipe then return end
      if chunk then return feed(self, pipe, chunk) end
      lose(self, failed or "the server has closed the connection")
    end)
  end)
  if not ok then
    self.pipe = nil
    pipe:close()
    return nil, err
  end
  -- to write to a server that has gone is an error of the call, not the end of this process
  self.sigpipe = signals.watch(self.uv, { sigpipe = false })
  return true
end

local function ask(self, op, field, name, options, callback)
  if type(options) == "function" then options, callback = nil, options end
  local result, failed, done
  local wait = not callback
  callback = callback or function(r, e) result, failed, done = r, e, true end
  if wait and self.pipe then self.uv.run("nowait") end -- it may have ended while the loop stood still
  if not self.pipe then
    local ok, reason = connect(self)
    if not ok then return nil, closed(self, reason) end
  end
  self.last = self.last + 1
  local request = { id = self.last, op = op, options = options }
  if field then request[field] = name end
  self.waiting[self.last] = { op = op, callback = callback }
  local pipe = self.pipe
  pipe:write(protocol.encode(request), function(reason)
    if reason and self.pipe == pipe then lose(self, reason) end
  end)
  if not wait then return true end
  while not done do self.uv.run("once") end
  return result, failed
end

--- client:gather_destinations(domain [, options] [, callback]), and so on: see nexthop.meta.client.
for op, field in pairs {
  gather_destinations = "domain", plan = "domain", sender = "domain", recipient = "domain",
  gather_ips = "host", gather_tlsa = "host",
} do
  Client[op] = function(self, name, options, callback)
    return ask(self, op, field, name, options, callback)
  end
end

--- client:stats([callback]): the server's counters, see nexthop.server.
function Client:stats(callback)
  return ask(self, "stats", nil, nil, nil, callback)
end

--- Ends the connection; what is under way gets an error of code `closed`.
function Client:close()
  lose(self, "the client was closed")
end

return M
