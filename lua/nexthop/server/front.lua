--- A connection at the socket of the lookup server, before it is known what is spoken on it: JSON lines, or
-- HTTP from a client that wants the metrics. The first bytes tell. It has the methods of both sessions.
local http = require "nexthop.luv.http"
local new_session = require "nexthop.server.session"

local Front = {}
Front.__index = Front

-- Goes on as a session of HTTP, of which there may be as many at a time as at a port of their own.
local function become_http(self)
  local server = self.server
  self.inner:close()
  if server.http_sessions >= http.limits.connections then
    self.inner = http.busy(server.log)
  else
    server.http_sessions = server.http_sessions + 1
    self.inner = http.session(server.routes, server.log, function()
      server.http_sessions = server.http_sessions - 1
    end)
  end
  self.is_http, self.time_limit = true, self.inner.time_limit
end

--- Takes what the client has sent.
function Front:feed(bytes)
  if self.is_http == nil then
    self.first = self.first .. bytes
    local is_http = http.is_http(self.first)
    if is_http == nil then return end
    bytes, self.first = self.first, ""
    if is_http then become_http(self) else self.is_http = false end
  end
  self.inner:feed(bytes)
  self.stage = self.inner.stage
end

--- The client sends no more.
function Front:finish()
  if self.first ~= "" then
    self.inner:feed(self.first)
    self.is_http, self.first = false, ""
  end
  self.inner:finish()
  self.stage = self.inner.stage
end

function Front:advance()
  self.inner.blocked = self.blocked
  self.inner:advance()
end

function Front:is_full()
  self.inner.blocked = self.blocked
  return self.inner:is_full()
end

function Front:is_done() return self.first == "" and self.inner:is_done() end

function Front:take() return self.inner:take() end

function Front:close() self.inner:close() end

--- @param server of nexthop.server
return function(server)
  local self = { server = server, inner = new_session(server), first = "", wake = function() end }
  self.inner.wake = function() self.wake() end
  return setmetatable(self, Front)
end
