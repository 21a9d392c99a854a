--- A connection of the lookup server without its socket. Whoever has a socket feeds the session with what
-- comes, and sends what it takes. When the resolver delivers, the session's `wake` is called: there is
-- something to take or to advance.
local errors = require "nexthop.errors"
local new_lines = require "nexthop.luv.lines"
local operations = require "nexthop.server.operations"
local protocol = require "nexthop.server.protocol"
local uv = require "luv"

local Session = {}
Session.__index = Session

function Session:send(answer)
  self.output[#self.output + 1] = protocol.encode(answer)
end

-- The client broke the protocol: it is told so, nothing more is read, and what is under way is answered.
function Session:refuse(format, ...)
  self.server.counts.bad_requests = self.server.counts.bad_requests + 1
  self:send { error = errors.new("bad_request", format, ...) }
  self.ending, self.lines = true, new_lines()
end

function Session:start(request, op)
  local options = request.options or {}
  local longest = self.server.deadline
  if options.deadline == nil then options.deadline = longest end
  if type(options.deadline) ~= "number" then return "the option 'deadline' is no number" end
  options.deadline = math.min(options.deadline, longest)
  local key, begun = {}, uv.hrtime()
  self.in_flight = self.in_flight + 1
  local ok, handle, err = pcall(op.run, self.server, request, options, function(result, failed)
    if self.handles[key] == false then return end -- the connection is gone
    self.handles[key] = nil
    self.in_flight = self.in_flight - 1
    self.server.counts.answered = self.server.counts.answered + 1
    self.server.metrics_counts:answered((uv.hrtime() - begun) / 1e9)
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

function Session:request(line, is_cut)
  local counts = self.server.counts
  if is_cut then return self:refuse("a line has more than %d bytes", protocol.max_line) end
  local request, reason = protocol.decode(line)
  if not request then return self:refuse("%s", reason) end
  counts.requests = counts.requests + 1
  local bad, op = operations.check(request)
  self.server.metrics_counts:request(bad and "invalid" or request.op)
  bad = bad or self:start(request, op)
  if bad then
    counts.bad_requests = counts.bad_requests + 1
    self:send { id = request.id, error = errors.new("bad_request", "%s", bad) }
  end
end

--- Reads on in what was fed, as far as the limits let it.
function Session:advance()
  while not self.ending and not self:is_full() do
    local line, is_cut = self.lines:next()
    if not line then
      is_cut = self.lines:is_overlong()
      if not is_cut and (not self.finished or self.lines:length() == 0) then return end
      line = self.lines:rest() -- the last line needs no end
    end
    self:request(line, is_cut)
  end
end

--- Takes what the client has sent.
function Session:feed(bytes)
  if self.ending then return end
  self.lines:push(bytes)
  self:advance()
end

--- The client sends no more; it still gets its answers.
function Session:finish()
  self.finished = true
  self:advance()
end

--- Is no more to be read for now? `blocked` is set by whoever writes, to a client that does not read.
function Session:is_full()
  return self.blocked or self.in_flight >= self.server.limits.in_flight
end

--- Has everything been answered, and is nothing to come?
function Session:is_done()
  return (self.finished or self.ending) and self.in_flight == 0 and self.lines:length() == 0
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
  self.closed, self.ending, self.lines, self.output = true, true, new_lines(), {}
  self.server.counts.open = self.server.counts.open - 1
  for key, handle in pairs(self.handles) do
    self.handles[key] = false
    if handle then handle:cancel() end
  end
end

--- @param server of nexthop.server
return function(server)
  server.counts.connections = server.counts.connections + 1
  server.counts.open = server.counts.open + 1
  return setmetatable({
    server = server, lines = new_lines(protocol.max_line), output = {}, in_flight = 0, handles = {},
    wake = function() end,
  }, Session)
end
