--- A small HTTP server (RFC 9112) on luv's loop, for GET and HEAD: a session for nexthop.luv.connection, and
-- a TCP socket for it.
--
-- Each connection has one request, which has at most 8,192 bytes and is complete within 5 s; the client then
-- has 5 s to take the response. A socket serves 64 connections at a time. Others wait in the queue of the
-- system until one of them has ended.
--
-- Routes are a function(path, fields) -> status, content type, body; nil: there is nothing at that path.
-- `path` is as the client wrote it, without its query. `fields` has the fields of the request by their names
-- in small letters.
local core = require "nexthop.core"
local new_connection = require "nexthop.luv.connection"
local protect = require "nexthop.protect"

local M = {}

--- Bounds: bytes of a request, ms for the request and for the response, connections at a time.
M.limits = { request = 8192, time = 5000, connections = 64 }

local backlog = 1024

local phrases = {
  [200] = "OK", [400] = "Bad Request", [404] = "Not Found", [405] = "Method Not Allowed",
  [431] = "Request Header Fields Too Large", [500] = "Internal Server Error", [503] = "Service Unavailable",
  [505] = "HTTP Version Not Supported",
}

-- ---- requests and responses ----------------------------------------------------------

local Session = {}
Session.__index = Session

local function respond(self, status, kind, body, more)
  body = body or ("%d %s\n"):format(status, phrases[status] or "")
  local head = {
    ("HTTP/1.1 %d %s"):format(status, phrases[status] or "Unknown"),
    "Date: " .. os.date "!%a, %d %b %Y %H:%M:%S GMT",
    "Content-Type: " .. (kind or "text/plain; charset=utf-8"),
    "Content-Length: " .. #body,
    "Cache-Control: no-store", "X-Content-Type-Options: nosniff",
    "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'",
    more or "Connection: close",
  }
  if more then head[#head + 1] = "Connection: close" end
  self.output = table.concat(head, "\r\n") .. "\r\n\r\n" .. (self.method == "HEAD" and "" or body)
  self.status, self.buffer, self.stage = status, "", 2
end

-- The path of a target: without a query, and without the host that a proxy would be told.
local function path_of(target)
  return target:gsub("^%a[%w+.-]*://[^/?#]*", ""):match "^/[^?#]*"
end

-- The pattern "[ \t]*$" would begin anew at each blank: its time grows with the square of their number.
local function without_blanks_at_end(text)
  local last = #text
  while last > 0 and (text:byte(last) == 32 or text:byte(last) == 9) do last = last - 1 end
  return text:sub(1, last)
end

-- The fields of a request by their names; nil: one is malformed.
local function fields_of(text)
  local fields = {}
  for line in text:gmatch "([^\n]*)\n" do
    local name, value = line:gsub("\r$", ""):match "^([%w!#$%%&'*+.^_`|~-]+):[ \t]*(.*)$"
    value = name and without_blanks_at_end(value)
    if not name or value:find "%c" and value:find "[^\t\32-\255]" then return nil end
    name = name:lower()
    fields[name] = fields[name] and fields[name] .. ", " .. value or value
  end
  return fields
end

-- What a request says: method, path and fields; or nil and the status of the response.
local function parse(text)
  local line, rest = text:match "^([^\n]*)\n(.*)$"
  local method, target, version = line:gsub("\r$", ""):match "^(%u+) (%S+) HTTP/(%d%.%d)$"
  if not method or target:find "[^!-~]" then return nil, 400 end
  if version:sub(1, 1) ~= "1" then return nil, 505 end
  local fields, path = fields_of(rest), path_of(target)
  if not fields or version ~= "1.0" and not fields.host then return nil, 400 end
  return method, path or "", fields
end

local function answer(self, text)
  local method, path, fields = parse(text)
  if not method then return respond(self, path) end
  self.method = method
  if method ~= "GET" and method ~= "HEAD" then return respond(self, 405, nil, nil, "Allow: GET, HEAD") end
  local ok, status, kind, body = protect.call(self.routes, debug.traceback, path, fields)
  if not ok then
    self.log(protect.text(status))
    return respond(self, 500)
  end
  if not status then return respond(self, 404) end
  respond(self, status, kind, body)
end

--- Takes what the client has sent.
function Session:feed(bytes)
  if self.status then return end
  local size = #self.buffer
  self.buffer = self.buffer .. bytes
  if size == 0 then self.buffer = self.buffer:gsub("^[\r\n]+", "") end
  local _, stop = self.buffer:find("\n\r?\n", math.max(1, size - 2))
  if (stop or #self.buffer) > M.limits.request then return respond(self, 431) end
  if stop then
    answer(self, self.buffer:sub(1, stop):gsub("\r?\n$", ""))
  end
end

--- The client sends no more.
function Session:finish()
  if self.status then return end
  if self.buffer == "" then self.status = 0 else respond(self, 400) end -- 0: there was no request
end

function Session:take()
  local output = self.output
  self.output = nil
  return output
end

function Session.advance() end

function Session.is_full() return false end

function Session:is_done() return self.status ~= nil end

function Session:close()
  if self.on_close then self.on_close() end
  self.on_close = nil
end

--- Makes a session, which a connection of nexthop.luv.connection carries.
-- @param routes see above
-- @param log function(text), for errors that routes raise
-- @param on_close called when the connection has ended; or nil
function M.session(routes, log, on_close)
  return setmetatable({
    routes = routes, log = log, on_close = on_close, buffer = "", stage = 1, time_limit = M.limits.time,
  }, Session)
end

--- A session that refuses whatever it is asked, for there are too many.
function M.busy(log)
  return M.session(function() return 503 end, log)
end

--- Do these bytes begin a request of HTTP? nil: more of them must come.
function M.is_http(bytes)
  if bytes:find "^%u+ " then return true end
  if bytes:find "^%u*$" and #bytes < 16 then return nil end
  return false
end

-- ---- a TCP socket --------------------------------------------------------------------

local Listener = {}
Listener.__index = Listener

local function accept(self)
  self.is_waiting = self.count >= self.limits.connections
  if self.is_waiting or self.closed then return end
  local client = self.uv.new_tcp()
  if not self.tcp:accept(client) then return client:close() end
  local connection = new_connection(self, client, M.session(self.routes, self.log))
  self.connections[connection] = true
  self.count = self.count + 1
  connection:update()
end

--- For the connection: it has ended. libuv offers the next one when the one that waits is taken.
function Listener:forget(connection)
  self.connections[connection] = nil
  self.count = self.count - 1
  if self.is_waiting then accept(self) end
end

function Listener.pump() end

--- Returns the port, which the system has chosen if it was 0.
function Listener:port()
  return self.tcp:getsockname().port
end

function Listener:close()
  if self.closed then return end
  self.closed = true
  self.tcp:close()
  local all = {}
  for connection in pairs(self.connections) do all[#all + 1] = connection end
  for _, connection in ipairs(all) do connection:close() end
end

--- Reads "127.0.0.1:9645", "[::1]:9645", or a port at 127.0.0.1.
-- @return { host, port }; or nil and what is wrong
function M.endpoint(value)
  local text = tostring(value)
  local host, port = text:match "^%[([%x:.]+)%]:(%d+)$"
  if not host then host, port = text:match "^([%d.]+):(%d+)$" end
  if not host and text:find "^%d+$" then host, port = "127.0.0.1", text end
  port = tonumber(port)
  if not host or not core.address(host) or port < 1 or port > 65535 then
    return nil, ("an address and a port expected, such as \"127.0.0.1:9645\", got %s"):format(text)
  end
  return { host = host, port = port }
end

--- Listens.
-- @param endpoint { host = an address, port }
-- @param log function(text)
-- @return the listener: close(), port(); or nil and why not
function M.listen(endpoint, routes, log)
  local uv = require "luv"
  local self = setmetatable({
    uv = uv, tcp = uv.new_tcp(), routes = routes, log = log, connections = {}, count = 0,
    limits = { output = math.huge, connections = M.limits.connections },
  }, Listener)
  local ok, reason = self.tcp:bind(endpoint.host, endpoint.port)
  if ok then
    ok, reason = self.tcp:listen(backlog, protect.callback(function(failed)
      if not failed then accept(self) end
    end, log))
  end
  if not ok then
    self.tcp:close()
    return nil, ("%s port %d: %s"):format(endpoint.host, endpoint.port, tostring(reason))
  end
  return self
end

return M
