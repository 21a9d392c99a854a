--- OpenSMTPD's filter protocol, smtpd-filters(7), versions 0.4 to 0.7 and later ones of that shape:
-- what filter-nexthop stands on, and any other filter can.
--
--   local opensmtpd = require "nexthop.opensmtpd"
--   local filter = opensmtpd.new { deadline = 10 }
--   filter:on("mail-from", function(request)             -- a phase: wants one answer, now or later
--     if request.address:find "@example%.org$" and not request.session.authenticated then
--       request:reject "550 5.7.1 Not from outside"
--     else
--       request:proceed()
--     end
--   end)
--   filter:on("tx-mail", function(event) ... end)        -- a report: wants none
--   filter:run()                                         -- until smtpd closes
--
-- The handlers run on luv's loop and must not block. smtpd ends, and takes all mail with it, when a
-- filter exits or says something wrong: so every answer is checked and given exactly once, a handler
-- that raises is logged and its request proceeds, and so does one without an answer at its deadline.
-- os.exit raises in a handler. The protocol is spoken on descriptors that no child process inherits.
local descriptors = require "nexthop.luv.descriptors"
local logging = require "nexthop.opensmtpd.log"
local new_connection = require "nexthop.opensmtpd.connection"
local new_deadlines = require "nexthop.opensmtpd.deadlines"
local protect = require "nexthop.protect"
local protocol = require "nexthop.opensmtpd.protocol"
local request = require "nexthop.opensmtpd.request"

local M = { log = logging }

--- See nexthop.luv.descriptors.
M.reserve = descriptors.reserve

local filter = {}
filter.__index = filter

-- ---- what comes in --------------------------------------------------------------

-- Runs a handler; an error in it is logged with its place and goes no further.
local function guarded(self, what, session, handler, ...)
  local ok, err = protect.call(handler, debug.traceback, ...)
  if not ok then
    -- as it is: what its __tostring raises, the log takes
    self.log:line { session = session and session.id, error = what, message = err or "nil" }
  end
  return ok
end
M.guarded = guarded

function filter:session(id, keep)
  local session = self.sessions[id]
  if not session then
    session = { id = id, authenticated = false, is_local = false }
    if keep then self.sessions[id] = session end
  end
  return session
end

-- A session in which smtpd is the client. It connects again in the same session, without TLS, when TLS has
-- failed.
local function outgoing_session(self, event)
  local former = self.outgoing[event.id]
  if former and event.name ~= "link-connect" then return former end
  local session = { id = event.id, attempts = former and former.attempts + 1 or 1 }
  self.outgoing[event.id] = session
  return session
end

local function on_outgoing_report(self, event)
  local session = outgoing_session(self, event)
  event.session = session
  if event.name == "link-connect" then
    session.rdns, session.source, session.destination = event.rdns, event.source, event.destination
  elseif event.name == "link-tls" then
    session.tls = event.tls
  end
  local handler = self.outgoing_handlers[event.name]
  if handler then guarded(self, event.name, session, handler, event) end
  if event.name == "link-disconnect" then self.outgoing[event.id] = nil end
end

local function on_report(self, event)
  if event.subsystem == "smtp-out" then return on_outgoing_report(self, event) end
  -- what was known of an earlier session with that identifier, its authentication above all, ends here
  if event.name == "link-connect" then self.sessions[event.id] = nil end
  local session = self:session(event.id, protocol.begins[event.name])
  event.session = session
  protocol.update(session, event)
  local handler = self.handlers[event.name]
  if handler then guarded(self, event.name, session, handler, event) end
  if event.name == "link-disconnect" then
    -- smtpd looks at no answer for it any more, whoever works on one may stop
    self.sessions[event.id] = nil
    for _, open in pairs(self.waiting[event.id] or {}) do
      if open.on_gone then guarded(self, open.phase, session, open.on_gone, open) end
      open:proceed()
    end
  end
end

local function expire(self, open)
  self.log:line { session = open.session.id, event = "deadline", phase = open.phase,
    action = "proceed" }
  open:proceed()
end

local function on_request(self, event, overlong)
  local session = self:session(event.id)
  event.session, event.filter = session, self
  setmetatable(event, request)
  local handler = self.handlers[event.phase]
  if event.phase == "data-line" then -- a stream, not a question
    if not handler or overlong then
      event:write(event.parameter)
    elseif not guarded(self, "data-line", session, handler, event) and not event.written then
      event:write(event.parameter)
    end
    return
  end
  -- smtpd has one question open per session and phase: an older one it has forgotten
  local waiting = self.waiting[event.id] or {}
  local former = waiting[event.phase]
  if former then
    former.answered, self.open = "forgotten", self.open - 1
    self.deadlines:unwatch(former)
    if former.on_gone then guarded(self, former.phase, session, former.on_gone, former) end
  end
  self.waiting[event.id], waiting[event.phase] = waiting, event
  self.open = self.open + 1
  if overlong then
    self.log:line { session = event.id, event = "overlong", phase = event.phase, action = "proceed" }
    event:proceed()
  elseif not handler then
    event:proceed()
  else
    if self.deadline then self.deadlines:watch(event) end
    if not guarded(self, event.phase, session, handler, event) then event:proceed() end
  end
end

local function register(self)
  local lines = {}
  local function add(kind, subsystem, name)
    lines[#lines + 1] = ("register|%s|%s|%s\n"):format(kind, subsystem, name)
  end
  local wants_outgoing = next(self.outgoing_handlers) ~= nil
  if wants_outgoing and not self.subsystems["smtp-out"] then
    self.log:line { event = "warning",
      message = "no relay action of smtpd.conf has this filter: outgoing mail is not seen" }
    wants_outgoing = false
  end
  for _, name in ipairs(protocol.order) do
    local is_known = protocol.is_known(name, self.config["smtpd-version"])
    if is_known and (protocol.needed[name] or self.handlers[name]) then
      add(protocol.phases[name] and "filter" or "report", "smtp-in", name)
    end
    if is_known and wants_outgoing and (protocol.needed_outgoing[name] or self.outgoing_handlers[name]) then
      add("report", "smtp-out", name)
    end
  end
  lines[#lines + 1] = "register|ready\n"
  self:send(table.concat(lines))
end

local function on_line(self, line, overlong)
  local event, reason = protocol.parse(line)
  if not event then
    self.log:line { event = "ignored", reason = reason, line = line:sub(1, 200) }
  elseif event.kind == "config" then
    if event.key == "ready" and not self.ready then
      self.ready = true
      register(self)
    elseif event.key ~= "ready" then
      self.config[event.key] = event.value
      if event.key == "subsystem" then self.subsystems[event.value] = true end
    end
  elseif event.kind == "filter" then
    on_request(self, event, overlong)
  elseif overlong then
    self.log:line { session = event.id, event = "overlong", report = event.name }
  else
    on_report(self, event)
  end
end

-- ---- the filter -----------------------------------------------------------------

--- Makes a filter. nexthop.meta.opensmtpd describes the options, and the requests, events and sessions.
function M.new(options)
  options = options or {}
  return setmetatable({
    deadline = options.deadline, on_deadline = options.on_deadline,
    log = options.log or logging.new(2), input = options.input, output = options.output,
    max_line = options.max_line or 131072, -- smtpd passes lines of a message of up to 65535 bytes on
    handlers = {}, sessions = {}, config = {}, subsystems = {}, outgoing_handlers = {}, outgoing = {},
    on_leave = options.on_leave,
    open = 0, waiting = {}, -- how many requests, and by session and phase
  }, filter)
end

--- Makes a table, for smtpd-tables(7). nexthop.meta.opensmtpd describes it.
M.new_table = require "nexthop.opensmtpd.tables"

--- Sets the handler of a phase, which is called with a request, or of a report, called with an event.
function filter:on(name, handler)
  if not protocol.phases[name] and not protocol.reports[name] then
    error(("'%s' is no phase and no event of smtpd"):format(tostring(name)), 2)
  end
  self.handlers[name] = handler
  return self
end

--- Sets the handler of a report of outgoing mail, called with an event. Nothing can be answered: it is an
-- audit.
function filter:on_outgoing(name, handler)
  if not protocol.reports[name] then
    error(("'%s' is no event of smtpd"):format(tostring(name)), 2)
  end
  self.outgoing_handlers[name] = handler
  return self
end

-- Sends lines as they are, whole ones.
function filter:send(text) self.connection:send(text) end

-- Leaves, if the input has ended and nothing is open.
function filter:settle() self.connection:settle() end

--- Serves until the end of input. Returns true, or nil and why input or output failed.
function filter:run()
  self.deadlines = new_deadlines(self.deadline, function(open)
    guarded(self, "deadline", open.session, self.on_deadline or expire, self, open)
    open:proceed()
  end, function(text) self.log:line { error = "deadline", message = text } end)
  self.connection = new_connection {
    log = self.log, input = self.input, output = self.output, max_line = self.max_line,
    on_line = function(line, overlong) guarded(self, "line", nil, on_line, self, line, overlong) end,
    is_busy = function() return self.open > 0 end,
    on_leave = function()
      self.deadlines:close()
      if self.on_leave then guarded(self, "leave", nil, self.on_leave, self) end
    end,
  }
  return self.connection:run()
end

return M
