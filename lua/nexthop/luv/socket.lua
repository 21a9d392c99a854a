--- A Unix stream socket on luv's loop, and a resolver beside it. nexthop.luv.connection has its connections.
local core = require "nexthop.core"
local new_connection = require "nexthop.luv.connection"
local new_driver = require "nexthop.luv.driver"
local protect = require "nexthop.protect"

local M = {}

-- sun_path of Linux and the BSDs, its final zero not counted.
local longest_path = 103

-- Connections that wait to be taken; the system has a limit of its own. One more and a client that does
-- not block, as rspamd is, gets EAGAIN at once.
local backlog = 4096

-- ms that a connection on which nothing has come yet has at the end of the server
local grace = 1000

local Listener = {}
Listener.__index = Listener

local function protected(self, callback)
  return protect.callback(callback, self.log)
end

function Listener:accept()
  local pipe = self.uv.new_pipe(false)
  if not self.pipe:accept(pipe) then return pipe:close() end
  if self.count >= self.limits.connections then
    self.log(("more than %d connections: one is refused"):format(self.limits.connections))
    return pipe:close()
  end
  local session = self.session()
  local connection = new_connection(self, pipe, session)
  session.wake = function() self.awake[connection] = true end
  self.connections[connection] = true
  self.count = self.count + 1
  connection:update()
end

function Listener:forget(connection)
  self.connections[connection], self.awake[connection] = nil, nil
  self.count = self.count - 1
  self:look_for_end()
end

--- Goes on with the connections that have something to send.
function Listener:flush()
  local connection = next(self.awake)
  while connection do
    self.awake[connection] = nil
    connection:update()
    connection = next(self.awake)
  end
end

-- An error that a callback raises does not end what is left to do.
local function process(self)
  local ok, err = pcall(self.resolver.process, self.resolver)
  if not ok then self.log(protect.text(err)) end
end

--- Calls the resolver at once for what is in its cache, and arms the driver for the rest.
function Listener:pump()
  self:flush()
  if not self.driver or self.closed then return end
  if self.resolver:timeout() == 0 then
    process(self)
    self:flush()
  end
  self.driver:arm()
end

local function watch(self, resolver)
  self.resolver = resolver
  self.driver = new_driver(self.uv, resolver, protected(self, function()
    if self.closed then return end
    process(self)
    self:flush()
    self.driver:arm()
  end))
end

-- Removes the file at this path if it is still the one that `stat` describes. Another server may have put
-- its own socket there meanwhile.
local function remove(uv, path, stat)
  local now = stat and uv.fs_lstat(path)
  if not now or now.dev ~= stat.dev or now.ino ~= stat.ino then return true end
  return uv.fs_unlink(path)
end

-- Removes a socket that nobody listens on. Returns nil and why, if the path is taken.
local function make_room(uv, path)
  local stat, _, code = uv.fs_lstat(path)
  if not stat then
    if code == "ENOENT" then return true end
    return nil, ("%s: %s"):format(path, code)
  end
  if stat.type ~= "socket" then return nil, path .. ": is there, and is no socket" end
  local probe, answered, refused = uv.new_pipe(false), false, nil
  local request, err = probe:connect(path, function(reason) answered, refused = true, reason end)
  if not request then answered, refused = true, err end
  while not answered do uv.run("once") end
  probe:close()
  if not refused then return nil, path .. ": another server listens there" end
  if not tostring(refused):find "ECONNREFUSED" then return nil, ("%s: %s"):format(path, refused) end
  local ok, reason = remove(uv, path, stat)
  if not ok then return nil, reason end
  return true
end

-- Binds the socket; returns nil and why not. Do not let libuv bind it: libuv removes whatever is at the path
-- when it closes the socket.
local function bind(self)
  local fd, reason = core.bind(self.path)
  if not fd then return nil, ("%s: %s"):format(self.path, reason) end
  local ok
  ok, reason = self.pipe:open(fd)
  if not ok then
    self.uv.fs_close(fd)
    self.uv.fs_unlink(self.path)
    return nil, reason
  end
  -- the socket keeps its inode until it is closed, so that none of another server has the same number
  self.file = self.uv.fs_lstat(self.path)
  return true
end

-- Takes a socket that is bound already, and whose file belongs to whoever has bound it.
local function adopt(self, fd)
  local ok, reason = self.pipe:open(fd)
  if not ok then return nil, reason end
  local bound = self.pipe:getsockname()
  if self.path and bound ~= self.path then
    return nil, ("%s: the socket that was passed is %s"):format(self.path, tostring(bound))
  end
  self.path, self.is_passed = bound, true
  return true
end

local function stop_listening(self)
  if self.pipe:is_closing() then return end
  remove(self.uv, self.path, self.file)
  self.pipe:close()
end

--- Listens.
-- @param path of the socket; nil: that of options.fd
-- @param options session = function() -> session; limits; mode (0660); resolver, to be driven by the
-- loop (nil: somebody else does); log = function(text); uv; fd, a socket that is bound to the path already
-- @return listener; or nil and why not
function M.listen(path, options)
  local uv = options.uv or require "luv"
  if path and #path > longest_path then
    return nil, ("%s: a socket's path has at most %d bytes"):format(path, longest_path)
  end
  if not options.fd then
    local free, reason = make_room(uv, path)
    if not free then return nil, reason end
  end
  local self = setmetatable({
    uv = uv, path = path, session = options.session, limits = options.limits,
    log = options.log or function(text) io.stderr:write("nexthop: ", text, "\n") end,
    connections = {}, awake = {}, count = 0, pipe = uv.new_pipe(false),
  }, Listener)
  local ok, err
  if options.fd then ok, err = adopt(self, options.fd) else ok, err = bind(self) end
  if not ok then
    self.pipe:close()
    return nil, err
  end
  -- nobody can connect before it listens
  if not self.is_passed then ok, err = uv.fs_chmod(path, options.mode or 432) end
  if ok then
    ok, err = self.pipe:listen(backlog, protected(self, function(failed)
      if not failed and not self.draining then self:accept() end
      self:pump()
    end))
  end
  if not ok then
    stop_listening(self)
    return nil, tostring(err)
  end
  if options.resolver then watch(self, options.resolver) end
  return self
end

function Listener:look_for_end()
  if self.draining and self.count == 0 and not self.closed then self:close() end
end

-- Reads no more from any connection; with `spared` from none but those on which nothing has come yet.
local function finish_all(self, spared)
  local all = {}
  for connection in pairs(self.connections) do all[#all + 1] = connection end
  for _, connection in ipairs(all) do
    if spared and not connection.has_read then connection.is_last = true else connection:finish() end
  end
  self:pump()
end

--- Takes no more connections and requests; closes when all is answered, or after so many seconds.
function Listener:drain(seconds, callback)
  if self.draining then return end
  self.draining, self.on_close = true, callback
  stop_listening(self)
  self.deadline = self.uv.new_timer()
  self.deadline:start(math.ceil(seconds * 1000), 0, protected(self, function() self:close() end))
  -- Whoever holds a passed socket starts the next server, and clients count on it that nothing is lost: one
  -- that has just connected may still send its first request.
  if self.is_passed then
    self.grace = self.uv.new_timer()
    self.grace:start(grace, 0, protected(self, function() finish_all(self) end))
  end
  finish_all(self, self.is_passed)
  self:look_for_end()
end

--- Closes the socket and all connections.
function Listener:close()
  if self.closed then return end
  self.closed = true
  stop_listening(self)
  local all = {}
  for connection in pairs(self.connections) do all[#all + 1] = connection end
  for _, connection in ipairs(all) do connection:close() end
  if self.driver then self.driver:close() end
  if self.deadline then self.deadline:close() end
  if self.grace then self.grace:close() end
  if self.on_close then self.on_close() end
end

return M
