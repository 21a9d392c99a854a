--- The lookup server: answers nexthop's lookups in JSON lines, for processes that share one resolver
-- and its cache. What is said on a connection is in server/; nexthop.luv.socket has the sockets.
--
--   local server = assert(require("nexthop.server").new { resolver = { forward = "127.0.0.1" } })
--   assert(server:listen "/run/nexthop/nexthop.sock")
--   require("luv").run()
local counts_of = require "nexthop.metrics.counts"
local errors = require "nexthop.errors"
local http = require "nexthop.luv.http"
local new_front = require "nexthop.server.front"
local new_session = require "nexthop.server.session"
local nexthop = require "nexthop"
local operations = require "nexthop.server.operations"
local protocol = require "nexthop.server.protocol"
local settings = require "nexthop.config.settings"
local signals = require "nexthop.luv.signals"
local socket = require "nexthop.luv.socket"
local text = require "nexthop.metrics.text"

local M = {}

--- Bounds, described in nexthop.meta.server.
M.limits = { in_flight = 256, output = 1048576, connections = 4000 }

local spec = { metrics = function(value)
  return http.endpoint(value)
end }
for _, key in ipairs { "resolver", "exclude", "deadline", "sts", "tlsrpt", "sts_port", "ca_file" } do
  spec[key] = settings.options[key]
end

--- Checks a configuration. Returns the options, `exclude` as a function(domain); or nil and an error.
function M.check(options)
  -- now, and not at the first request, which would never be answered
  local found, missing = pcall(protocol.json)
  if not found then
    return nil, errors.new("config", "lua-cjson is needed: %s", tostring(missing):match "[^\n]*")
  end
  local complete = { resolver = {} }
  for key, value in pairs(options) do complete[key] = value end
  local checked, reason = settings.check(complete, spec)
  if not checked then return nil, errors.new("config", "%s", reason) end
  return checked
end

--- Reads a configuration file for M.check and M.new.
M.load = settings.load

local Server = {}
Server.__index = Server

--- Makes a server, with a resolver of its own.
function M.new(options)
  local checked, err = M.check(options or {})
  if not checked then return nil, err end
  local resolver
  resolver, err = nexthop.new(checked.resolver)
  if not resolver then return nil, err end
  local self = setmetatable({
    resolver = resolver, http_sessions = 0,
    excludes = checked.exclude or function() return false end,
    deadline = checked.deadline or 10, settings = checked,
    limits = M.limits,
    counts = { connections = 0, open = 0, requests = 0, answered = 0, bad_requests = 0 },
    metrics_counts = counts_of.new(operations.names),
  }, Server)
  function self.log(message) io.stderr:write("nexthop: ", message, "\n") end
  function self.routes(path, fields)
    if path ~= "/metrics" then return nil end
    return 200, text.CONTENT_TYPE, self:metrics(text.reader_of(fields.accept))
  end
  return self
end

-- Listens for those who want the metrics by TCP.
local function listen_for_metrics(self)
  if not self.settings.metrics then return true end
  local listener, reason = http.listen(self.settings.metrics, self.routes, self.log)
  if not listener then return nil, "metrics: " .. reason end
  self.metrics_listener = listener
  return true
end

local function close_metrics(self)
  if self.metrics_listener then self.metrics_listener:close() end
  self.metrics_listener = nil
end

--- Takes connections at a Unix socket, driven by luv's loop. A socket that nobody listens on any more
-- is replaced; a live one and what is no socket are refused. With options.fd, a socket that is bound
-- already, its file is left alone.
function Server:listen(path, options)
  options = options or {}
  local uv = options.uv or require "luv"
  self.log = options.log or self.log
  local ok, why = listen_for_metrics(self)
  if not ok then return nil, errors.new("config", "%s", why) end
  local listener, reason = socket.listen(path, {
    uv = uv, mode = options.mode, log = options.log, fd = options.fd,
    resolver = self.resolver, limits = self.limits,
    session = function() return new_front(self) end,
  })
  if not listener then
    close_metrics(self)
    return nil, errors.new("config", "%s", reason)
  end
  self.listener = listener
  -- to write to a client that has gone is an error, not the end of the process
  self.sigpipe = signals.watch(uv, { sigpipe = false })
  return true
end

local function close_sigpipe(self)
  if self.sigpipe then self.sigpipe:close() end
  self.sigpipe = nil
end

--- Takes no more connections and requests, answers those that are there, and then runs the callback.
function Server:drain(callback)
  close_metrics(self)
  self.listener:drain((self.deadline + 1), function()
    close_sigpipe(self) -- while the loop still runs
    if callback then callback() end
  end)
end

--- Ends at once, whatever is under way.
function Server:close()
  close_metrics(self)
  if self.listener then self.listener:close() end
  close_sigpipe(self)
  self.resolver:close()
end

--- Returns the counters.
function Server:stats()
  local stats = {
    resolver = self.resolver:stats(), deadline = self.deadline,
    plans = self.metrics_counts.plans, ops = self.metrics_counts.requests,
  }
  for key, count in pairs(self.counts) do stats[key] = count end
  return stats
end

--- Returns the counters as a page of metrics, see nexthop.metrics.text.
function Server:metrics(reader)
  return self.metrics_counts:page(self.resolver:stats(), text.new(reader))
end

--- A connection, without a socket. See server/session.lua.
function Server:session() return new_session(self) end

return M
