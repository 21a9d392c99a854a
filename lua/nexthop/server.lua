--- The lookup server: answers nexthop's lookups in JSON lines, for processes that share one resolver
-- and its cache. This file is the protocol and knows no sockets; nexthop.luv.socket has them, on luv.
--
--   local server = assert(require("nexthop.server").new { resolver = { forward = "127.0.0.1" } })
--   assert(server:listen "/run/nexthop/nexthop.sock")
--   require("luv").run()
local core = require "nexthop.core"
local guard = require "nexthop.protect"
local nexthop = require "nexthop"
local policy = require "nexthop.policy"
local protocol = require "nexthop.server.protocol"

local M = {}

--- Bounds of one connection: requests under way before no further ones are read, and bytes of answers
-- that its client has not fetched; and how many connections there may be.
M.limits = { in_flight = 256, output = 1048576, connections = 4000 }

local spec = {
  resolver = policy.options.resolver,
  exclude = policy.options.exclude,
  deadline = policy.options.deadline,
}

local function failure(code, format, ...)
  local message = format:format(...):gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end)
  return setmetatable({ code = code, message = message, permanent = code == "bad_request" },
    core.metatables.error)
end

--- Checks a configuration: the resolver is made, and closed again.
-- @param options { resolver = options of nexthop.new, exclude = list, deadline = seconds }
-- @return the options, `exclude` as a function(domain); or nil and an error of code `config`
function M.check(options)
  -- now, and not at the first request, which would never be answered
  local found, missing = pcall(protocol.json)
  if not found then
    return nil, failure("config", "lua-cjson is needed: %s", tostring(missing):match "[^\n]*")
  end
  local complete = { resolver = {} }
  for key, value in pairs(options) do complete[key] = value end
  local checked, reason = policy.check(complete, spec)
  if not checked then return nil, failure("config", "%s", reason) end
  return checked
end

--- Reads a configuration file: Lua that returns a table for M.check and M.new.
-- @param path nil: no file, the defaults
-- @return the table, not checked; or nil and why not
function M.load(path)
  if not path then return {} end
  local ok, settings = guard.file(path)
  if not ok then return nil, settings end
  if type(settings) ~= "table" then
    return nil, ("%s: returns a %s, not a table"):format(path, type(settings))
  end
  return settings
end

local Server, Session = {}, {}
Server.__index, Session.__index = Server, Session

--- Makes a server, with a resolver of its own.
-- @param options as for M.check; `deadline` (10) is the longest that a request may take
-- @return the server; or nil and an error of code `config`
function M.new(options)
  local checked, err = M.check(options or {})
  if not checked then return nil, err end
  local resolver
  resolver, err = nexthop.new(checked.resolver)
  if not resolver then return nil, err end
  return setmetatable({
    resolver = resolver,
    excludes = checked.exclude or function() return false end,
    deadline = checked.deadline or 10,
    clock = os.time,
    counts = { connections = 0, open = 0, requests = 0, answered = 0, bad_requests = 0 },
  }, Server)
end

--- Takes connections at a Unix socket, driven by luv's loop. A socket that nobody listens on any more
-- is replaced; a live one and what is no socket are refused.
-- @param path
-- @param options { mode = 432 (0660), uv = require "luv", log = function(text) }
-- @return true; or nil and an error of code `config`
function Server:listen(path, options)
  options = options or {}
  local uv = options.uv or require "luv"
  self.clock = function() return uv.hrtime() / 1e9 end
  local listener, reason = require("nexthop.luv.socket").listen(path, {
    uv = uv, mode = options.mode, log = options.log,
    resolver = self.resolver, limits = M.limits,
    session = function() return self:session() end,
  })
  if not listener then return nil, failure("config", "%s", reason) end
  self.listener = listener
  -- to write to a client that has gone is an error, not the end of the process
  self.sigpipe = uv.new_signal()
  self.sigpipe:start("sigpipe", function() end)
  self.sigpipe:unref()
  return true
end

local function close_sigpipe(self)
  if self.sigpipe then self.sigpipe:close() end
  self.sigpipe = nil
end

--- Takes no more connections and requests, answers those that are there, and then runs the callback.
-- @param callback function()
function Server:drain(callback)
  self.listener:drain((self.deadline + 1), function()
    close_sigpipe(self) -- while the loop still runs
    if callback then callback() end
  end)
end

--- Ends at once, whatever is under way.
function Server:close()
  if self.listener then self.listener:close() end
  close_sigpipe(self)
  self.resolver:close()
end

--- Counters: connections (so far), open, requests, answered, bad_requests, deadline, and those of the
-- resolver in `resolver`.
function Server:stats()
  local stats = { resolver = self.resolver:stats(), deadline = self.deadline }
  for key, count in pairs(self.counts) do stats[key] = count end
  return stats
end

-- ---- requests -------------------------------------------------------------------

local function plain(value)
  if value == nil then return protocol.null end
  return value
end

-- function(server, request, options, answer): calls answer(result, err) once, now or later, and
-- returns the handle of what is under way.
local ops = {}

for op, field in pairs {
  gather_destinations = "domain", plan = "domain", gather_ips = "host", gather_tlsa = "host",
} do
  ops[op] = { field = field, run = function(server, request, options, answer)
    return server.resolver[op](server.resolver, request[field], options, answer)
  end }
end

for _, role in ipairs { "sender", "recipient" } do
  ops[role] = { field = "domain", run = function(server, request, options, answer)
    local domain, skipped = policy.domain("@" .. request.domain)
    if domain and server.excludes(domain) then skipped = "excluded" end
    if skipped then
      return answer { finding = protocol.null, plan = protocol.null, error = protocol.null,
        domain = domain, skipped = skipped }
    end
    return server.resolver:plan(domain, options, function(plan, err)
      answer { finding = policy.find(role, plan, err), domain = domain, plan = plain(plan),
        error = plain(err or policy.unfinished(plan)) }
    end)
  end }
end

ops.stats = { run = function(server, _, _, answer)
  answer(server:stats())
end }

local fields = { id = true, op = true, options = true } -- of every request

-- What is wrong with a request, or nil and its op.
local function examine(request)
  if type(request.id) == "number" and request.id - request.id ~= 0 then request.id = nil end -- 1e999
  if request.id == nil then return "the field 'id' is missing" end
  if type(request.id) ~= "number" and type(request.id) ~= "string" then
    return "the field 'id' is neither a number nor a string"
  end
  if type(request.op) ~= "string" then return "the field 'op' is missing" end
  local op = ops[request.op]
  if not op then return ("no such op '%s'"):format(request.op:sub(1, 40)) end
  if op.field and type(request[op.field]) ~= "string" then
    return ("the field '%s' is missing, or no string"):format(op.field)
  end
  if request.options ~= nil and type(request.options) ~= "table" then
    return "the field 'options' is no object"
  end
  for name in pairs(request) do
    if not fields[name] and name ~= op.field then
      return ("the op '%s' has no field '%s'; there are: %s"):format(request.op, tostring(name):sub(1, 40),
        op.field and "id, op, options, " .. op.field or "id, op, options")
    end
  end
  return nil, op
end

-- ---- a connection ------------------------------------------------------------------

--- A connection, to be fed with what the client sends. Whoever has the socket calls the methods; when
-- the resolver delivers, the session's `wake` is called, and there is something to take or to advance.
function Server:session()
  self.counts.connections = self.counts.connections + 1
  self.counts.open = self.counts.open + 1
  return setmetatable({
    server = self, input = "", output = {}, in_flight = 0, handles = {},
    wake = function() end,
  }, Session)
end

function Session:send(answer)
  self.output[#self.output + 1] = protocol.encode(answer)
end

-- The client broke the protocol: it is told, nothing more is read, what is under way is answered.
function Session:refuse(format, ...)
  self.server.counts.bad_requests = self.server.counts.bad_requests + 1
  self:send { error = failure("bad_request", format, ...) }
  self.ending, self.input = true, ""
end

function Session:start(request, op)
  local options = request.options or {}
  local longest = self.server.deadline
  if type(options.deadline) ~= "number" or options.deadline > longest then
    if options.deadline ~= nil and type(options.deadline) ~= "number" then
      return "the option 'deadline' is no number"
    end
    options.deadline = longest
  end
  local key = {}
  self.in_flight = self.in_flight + 1
  local ok, handle, err = pcall(op.run, self.server, request, options, function(result, failed)
    if self.handles[key] == false then return end -- the connection is gone
    self.handles[key] = nil
    self.in_flight = self.in_flight - 1
    self.server.counts.answered = self.server.counts.answered + 1
    self:send { id = request.id, result = result, error = failed }
    self.wake()
  end)
  if not ok then -- misuse
    self.in_flight = self.in_flight - 1
    return (tostring(handle):gsub("^[^\n]-:%d+: ", ""))
  end
  if handle then
    self.handles[key] = handle
  elseif err then -- the resolver takes no calls
    self.in_flight = self.in_flight - 1
    self:send { id = request.id, error = err }
  end
end

function Session:request(line)
  local counts = self.server.counts
  if #line > protocol.max_line then
    return self:refuse("a line has more than %d bytes", protocol.max_line)
  end
  local request, reason = protocol.decode(line)
  if not request then return self:refuse("%s", reason) end
  counts.requests = counts.requests + 1
  local bad, op = examine(request)
  bad = bad or self:start(request, op)
  if bad then
    counts.bad_requests = counts.bad_requests + 1
    self:send { id = request.id, error = failure("bad_request", "%s", bad) }
  end
end

--- Reads on in what was fed, as far as the limits let it.
function Session:advance()
  local from = 1
  while not self.ending and not self:is_full() do
    local stop = self.input:find("\n", from, true)
    if not stop then break end
    self:request(self.input:sub(from, stop - 1))
    from = stop + 1
  end
  if self.ending then return end
  self.input = self.input:sub(from)
  if self:is_full() or self.input:find("\n", 1, true) then return end
  if #self.input > protocol.max_line then
    self:refuse("a line has more than %d bytes", protocol.max_line)
  elseif self.finished and self.input ~= "" then -- the last line needs no end
    local line = self.input
    self.input = ""
    self:request(line)
  end
end

--- Takes what the client has sent.
function Session:feed(bytes)
  if self.ending then return end
  self.input = self.input .. bytes
  self:advance()
end

--- The client sends no more; it still gets its answers.
function Session:finish()
  self.finished = true
  self:advance()
end

--- Is no more to be read for now? `blocked` is set by whoever writes, to a client that does not read.
function Session:is_full()
  return self.blocked or self.in_flight >= M.limits.in_flight
end

--- Has everything been answered, and is nothing to come?
function Session:is_done()
  return (self.finished or self.ending) and self.in_flight == 0 and self.input == ""
end

--- What is to be sent, taken out of the session; nil: nothing.
function Session:take()
  if #self.output == 0 then return nil end
  local output = table.concat(self.output)
  self.output = {}
  return output
end

--- The connection is gone: lookups that only it waits for are given up.
function Session:close()
  if self.closed then return end
  self.closed, self.ending, self.input, self.output = true, true, "", {}
  self.server.counts.open = self.server.counts.open - 1
  for key, handle in pairs(self.handles) do
    self.handles[key] = false
    if handle then handle:cancel() end
  end
end

return M
