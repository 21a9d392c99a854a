--- A connection of nexthop.luv.socket: moves bytes between its pipe and its session, an object with feed,
-- finish, take, advance, is_full, is_done, close and the fields `wake` and `blocked` (server/session.lua). A
-- session may have `time_limit`, the ms that each of its stages may take, and `stage`, a number: the
-- connection ends when a stage takes longer.
local protect = require "nexthop.protect"

local linger = 2000 -- ms that a client has to read why its connection ends

local Connection = {}
Connection.__index = Connection

local function protected(self, callback)
  return protect.callback(callback, self.listener.log)
end

function Connection:close()
  if self.closed then return end
  self.closed = true
  self.session:close()
  self.listener:forget(self)
  if self.timer then self.timer:close() end
  if self.stage_timer then self.stage_timer:close() end
  self.pipe:close()
end

local function read_on(self)
  if self.reading or self.closed or self.at_end then return end
  self.reading = true
  self.pipe:read_start(protected(self, function(err, chunk)
    if self.closed then return end
    if err then return self:close() end
    if chunk then
      self.has_read = true
      self.session:feed(chunk)
      if self.is_last then -- the server ends, and these are its last requests
        self:finish()
        return self.listener:pump()
      end
    else
      self.at_end = true
      self.session:finish()
    end
    self:update()
    self.listener:pump()
  end))
end

local function read_no_more(self)
  if not self.reading then return end
  self.reading = false
  self.pipe:read_stop()
end

-- Ends our side, and then waits for the client's end, so that the client sees the last line and no reset.
local function say_goodbye(self)
  if self.leaving then return end
  self.leaving = true
  self.pipe:shutdown(protected(self, function()
    if self.closed then return end
    if self.at_end or self.listener.draining then return self:close() end
    self.timer = self.listener.uv.new_timer()
    self.timer:start(linger, 0, protected(self, function() self:close() end))
  end))
end

local function send(self)
  local output = self.session:take()
  if not output then return end
  if self.pipe:get_write_queue_size() == 0 then -- nearly always the socket takes it at once
    local n = self.pipe:try_write(output)
    if n == #output then return end
    if n then output = output:sub(n + 1) end
  end
  local ok = self.pipe:write(output, protected(self, function(err)
    if self.closed then return end
    if err then return self:close() end
    if self.session.blocked then
      self:update()
      self.listener:pump()
    end
  end))
  if not ok then self:close() end
end

local function exchange(self)
  local session = self.session
  send(self)
  if self.closed then return end
  session.blocked = self.pipe:get_write_queue_size() > self.listener.limits.output
  if session:is_full() then return end
  session:advance() -- with what came before it was full
  send(self)
end

-- Gives the client so long for the stage that the session is at now.
local function limit_time(self)
  local session = self.session
  if not session.time_limit or self.stage == session.stage then return end
  self.stage = session.stage
  self.stage_timer = self.stage_timer or self.listener.uv.new_timer()
  self.stage_timer:start(session.time_limit, 0, protected(self, function() self:close() end))
end

--- Sends what is there, reads on where there is room, and ends what is over. Call it after whatever happened.
function Connection:update()
  local session = self.session
  if not self.closed then exchange(self) end
  if self.closed then return end
  limit_time(self)
  if session:is_done() then
    if self.at_end and self.leaving then return self:close() end
    read_on(self) -- what still comes is thrown away
    return say_goodbye(self)
  end
  if session:is_full() then read_no_more(self) else read_on(self) end
end

--- Reads no more; what was read is answered.
function Connection:finish()
  if self.closed then return end
  read_no_more(self)
  self.at_end = true
  self.session:finish()
  self:update()
end

--- @param listener of nexthop.luv.socket
-- @param pipe the luv handle of the connection
-- @param session what is said on it
return function(listener, pipe, session)
  return setmetatable({ listener = listener, pipe = pipe, session = session }, Connection)
end
