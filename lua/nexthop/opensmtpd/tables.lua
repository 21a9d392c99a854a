--- OpenSMTPD's protocol of tables, smtpd-tables(7), version 0.1 and later ones of that shape.
-- nexthop.opensmtpd shows it as new_table(). table-nexthop uses it, and other tables can.
--
-- smtpd asks one question at a time, and does nothing for other sessions until it has the answer. It ends
-- when the table ends, or answers with another id, an unknown word or an empty value. Therefore every answer
-- is checked and is given exactly once. A handler that raises makes the answer `error`, and so does a request
-- without an answer at its deadline.
local logging = require "nexthop.opensmtpd.log"
local new_connection = require "nexthop.opensmtpd.connection"
local new_deadlines = require "nexthop.opensmtpd.deadlines"
local protect = require "nexthop.protect"
local protocol = require "nexthop.opensmtpd.table_protocol"

local max_line = 1048576 -- bytes; smtpd's own lines have a few thousand

-- ---- a request -------------------------------------------------------------------

local Request = {}
Request.__index = Request

-- Writes the answer, once.
local function answer(self, word, text)
  if self.answered then return nil, "has its answer already" end
  self.answered = word
  local owner = self.table
  owner.open[self] = nil
  owner.deadlines:unwatch(self)
  owner.connection:send(protocol.result(self, word, text))
  owner.connection:settle()
  return true
end

--- The key is in the table. value: what it stands for (default: the key itself; `fetch` has none). Raises on
-- a value that smtpd does not take.
function Request:found(value)
  if self.operation == "check" then return answer(self, "found") end
  if value == nil and self.operation == "lookup" then value = self.query end
  local checked, reason = protocol.value(value)
  if not checked then error(reason, 2) end
  return answer(self, "found", checked)
end

--- The key is not in the table.
function Request:not_found() return answer(self, "not-found") end

--- It cannot be said now whether the key is in the table. smtpd answers its client with 451.
-- @param text for the log
function Request:error(text) return answer(self, "error", protect.text(text)) end

-- ---- the table -------------------------------------------------------------------

local Table = {}
Table.__index = Table

-- Runs a handler; an error in it is logged with its place and goes no further.
local function guarded(self, what, handler, ...)
  local ok, err, reason = protect.call(handler, debug.traceback, ...)
  if not ok then self.log:line { error = what, message = err or "nil" } end
  return ok, err, reason
end

local function register(self)
  local lines, names = {}, {}
  for name in pairs(self.handlers) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = ("register|%s\n"):format(name) end
  lines[#lines + 1] = "register|ready\n"
  self.connection:send(table.concat(lines))
end

local function update(self, request)
  if not self.on_update then return answer(request, "ok") end
  local ok, done, reason = guarded(self, "update", self.on_update, self)
  if ok and done then return answer(request, "ok") end
  request:error(ok and reason or "the update failed, see the log of the table")
end

local function on_request(self, request)
  setmetatable(request, Request)
  request.table, self.open[request] = self, true
  if request.operation == "update" then return update(self, request) end
  if request.operation ~= "check" and request.operation ~= "lookup" and request.operation ~= "fetch" then
    return request:error "no such operation"
  end
  local handler = self.handlers[request.service]
  if not handler then return request:not_found() end
  if self.deadlines.seconds then self.deadlines:watch(request) end
  if not guarded(self, request.service, handler, request) then
    request:error "the handler failed, see the log of the table"
  end
end

local function on_line(self, line, is_cut)
  local request, reason = protocol.parse(line, self.config.tablename, is_cut)
  if not request then
    self.log:line { event = "ignored", reason = reason, line = line:sub(1, 200) }
  elseif request.kind == "request" then
    on_request(self, request)
  elseif request.key == "ready" then
    if not self.ready then register(self) end
    self.ready = true
  elseif not is_cut then
    self.config[request.key] = request.value
  end
end

local function expire(self, request)
  if self.on_deadline then guarded(self, "deadline", self.on_deadline, self, request) end
  request:error(("no answer within %g s"):format(request.seconds))
end

--- Sets the handler of a service ("domain"), which is called with a request.
function Table:on(service, handler)
  if not protocol.services[service] then
    error(("'%s' is no service of smtpd's tables"):format(tostring(service)), 2)
  end
  self.handlers[service] = handler
  return self
end

--- Sets the seconds after which a request that comes from now on is answered with `error`, if it has no
-- answer yet; nil: no limit.
function Table:set_deadline(seconds) self.deadlines.seconds = seconds end

--- Serves until the end of input. Returns true, or nil and why input or output failed.
function Table:run()
  if next(self.handlers) == nil then error("a table without a service would end smtpd", 2) end
  return self.connection:run()
end

--- Makes a table. nexthop.meta.opensmtpd describes the options, and the requests.
return function(options)
  options = options or {}
  local self = setmetatable({
    log = options.log or logging.new(2), on_update = options.on_update, on_deadline = options.on_deadline,
    handlers = {}, config = {}, open = {},
  }, Table)
  self.deadlines = new_deadlines(options.deadline, function(request) expire(self, request) end,
    function(text) self.log:line { error = "deadline", message = text } end)
  self.connection = new_connection {
    log = self.log, input = options.input, output = options.output, max_line = options.max_line or max_line,
    on_line = function(line, is_cut) guarded(self, "line", on_line, self, line, is_cut) end,
    is_busy = function() return next(self.open) ~= nil end,
    on_leave = function() self.deadlines:close() end,
  }
  return self
end
