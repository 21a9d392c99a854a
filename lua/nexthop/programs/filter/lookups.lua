--- filter-nexthop: looks the sender's and the recipient's domain up while the client waits, and
-- answers as its configuration says.
local audits = require "nexthop.programs.filter.audit"
local counts_of = require "nexthop.metrics.counts"
local errors = require "nexthop.errors"
local opensmtpd = require "nexthop.opensmtpd"
local policy = require "nexthop.policy"
local protocol = require "nexthop.opensmtpd.protocol"
local protect = require "nexthop.protect"
local plan_options = require("nexthop.config.settings").plan_options
local settings_of = require "nexthop.programs.filter.settings"
local supervisor = require "nexthop.luv.supervisor"
local uv = require "luv"

local M = {}

local roles = { ["mail-from"] = "sender", ["rcpt-to"] = "recipient" }

-- Codes by RFC 7505 (null MX) and RFC 3463.
local replies = {
  sender = {
    null_mx = { "550 5.7.27", "Sender domain%s accepts no mail (null MX)" },
    no_host = { "550 5.1.8", "Sender domain%s does not exist or has no mail host" },
    broken = { "550 5.7.1", "No mail host of sender domain%s has an address" },
    unroutable = { "550 5.7.1", "No mail host of sender domain%s can be reached" },
    bogus = { "550 5.7.1", "DNSSEC validation of sender domain%s failed" },
    failure = { "550 5.7.1", "Sender domain%s could not be looked up" },
  },
  recipient = {
    null_mx = { "556 5.1.10", "Recipient domain%s accepts no mail (null MX)" },
    no_host = { "550 5.1.2", "Recipient domain%s does not exist or has no mail host" },
    broken = { "550 5.4.4", "No mail host of recipient domain%s has an address" },
    unroutable = { "550 5.4.4", "No mail host of recipient domain%s can be reached" },
    bogus = { "550 5.4.4", "DNSSEC validation of recipient domain%s failed" },
    failure = { "550 5.4.4", "Recipient domain%s could not be looked up" },
  },
}
local otherwise = {
  sender = { "550 5.7.1", "Sender domain%s is not accepted here" },
  recipient = { "550 5.4.4", "Recipient domain%s is not accepted here" },
}

-- The domain as it may stand in a reply: nothing that the peer could have made up.
local function shown(domain)
  if #domain > 253 or domain:find "[^%w._-]" then return "" end
  return " " .. domain
end

local function reply(role, finding, action, domain)
  if action == "tempfail" then
    return ("451 4.4.3 Domain%s cannot be checked now, try again later"):format(shown(domain))
  end
  local code = replies[role][finding] or otherwise[role]
  return code[1] .. " " .. code[2]:format(shown(domain))
end

-- Takes apart what the configuration's own function returned: an action, and the text of a reject;
-- or nil, nil and what makes no sense of it. Whatever it is, looking at it may raise.
local function action_of(result)
  if result == nil then return nil end
  if type(result) ~= "table" then
    if settings_of.is_action(result) then return result end
    return nil, nil, ("neither an action nor { \"reject\", text }: %s"):format(tostring(result))
  end
  if result[1] ~= "reject" then return nil, nil, "a table other than { \"reject\", text }" end
  local text, reason = protocol.reply(result[2])
  if text then return "reject", text end
  return nil, nil, reason
end

-- An action and perhaps a text; nil for nothing, or for nonsense or an error, which are logged.
local function ask_policy(self, id, event)
  local finding = event.finding
  local ok, action, text, wrong = protect.call(function()
    return action_of(self.settings.policy(event))
  end, debug.traceback)
  if ok and not wrong then return action, text end
  self.log:line { session = id, error = "policy", finding = finding,
    message = wrong or action }
end

local function count_answer(self, request)
  self.counts:answered((uv.hrtime() - request.begun) / 1e9)
end

local function decide(self, request, event)
  -- the event is the policy's, which may change it: what it is about is looked at before
  local role, finding, domain = roles[request.phase], event.finding, event.domain
  local fields = {
    session = request.id, role = role, finding = finding, domain = domain,
    address = request.address, source = request.session.source,
    message = event.err and event.err.message,
  }
  local action, text
  if self.settings.policy then action, text = ask_policy(self, request.id, event) end
  action = action or self.settings[role][finding] or "proceed"
  if action == "reject" or action == "tempfail" then
    text = text or reply(role, finding, action, domain)
  end
  if action ~= "proceed" or self.verbose then
    fields.action, fields.reply = action, text
    self.log:line(fields)
  end
  if action == "junk" then
    request:junk()
  elseif text then
    request:reject(text)
  else
    request:proceed()
  end
  count_answer(self, request)
end

-- Why an address is not looked at; nil and its domain when it is.
local function skip(self, role, session, address)
  local outside = not session.authenticated and not session.is_local
  if role == "sender" and not outside then return "authenticated or local session" end
  if role == "recipient" and outside then return "remote session" end
  local domain, reason = policy.domain(address)
  if not domain then return reason end
  if self.settings.exclude(domain) then return "excluded" end
  return nil, domain
end

local function on_request(self, request)
  local role, session = roles[request.phase], request.session
  request.begun = uv.hrtime()
  self.counts:request(request.phase)
  local reason, domain = skip(self, role, session, request.address)
  if reason then
    if self.verbose then
      self.log:line { session = session.id, role = role, action = "proceed", reason = reason,
        address = request.address }
    end
    count_answer(self, request)
    return request:proceed()
  end
  local event = { role = role, phase = request.phase, address = request.address, domain = domain,
    session = session }
  request.event = event

  local deadline = self.settings.deadline
  local options = plan_options(self.settings, deadline, role == "recipient")
  local handle = self.supervisor:plan(domain, options, function(plan, err)
    if request.answered then return end
    opensmtpd.guarded(self.filter, "decision", session, function()
      event.result, event.err = plan, err or policy.unfinished(plan)
      event.finding = policy.find(role, plan, err)
      decide(self, request, event)
    end)
    request:proceed() -- if it has no answer yet
  end)
  if handle then
    request.on_gone = function() handle:cancel() end
  else
    event.finding, event.err = "failure", errors.new("servfail", "there is no resolver at the moment")
    decide(self, request, event)
  end
end

--- Runs the filter until the end of input.
-- @param settings of nexthop.programs.filter.settings
-- @param options `verbose`: log what proceeds, too; `input`, `output`: descriptors
-- @return true; or nil and why input or output failed
function M.run(settings, options)
  options = options or {}
  local self = { settings = settings, verbose = options.verbose }
  self.counts = counts_of.new { "mail-from", "rcpt-to" }
  self.filter = opensmtpd.new {
    input = options.input, output = options.output, max_line = 65536,
    on_leave = function()
      if self.audit then self.audit:close() end
    end,
    -- the plan has a deadline of its own: this one is for when even that does not come
    deadline = settings.deadline + 1,
    on_deadline = function(_, request)
      request.on_gone()
      request.event.finding = "failure"
      request.event.err = errors.new("timeout", "the deadline came before the answer")
      decide(self, request, request.event)
    end,
  }
  self.log = self.filter.log
  self.supervisor = supervisor.new(settings.resolver, function(reason, pause)
    self.log:line { error = "resolver", message = reason, retry = pause }
  end, function(warning)
    self.log:line { event = "warning", message = warning }
  end)
  self.supervisor.count_plan = function(plan, err) self.counts:plan(plan, err) end
  self.supervisor:get()
  for phase in pairs(roles) do
    self.filter:on(phase, function(request) on_request(self, request) end)
  end
  if settings.outgoing == "log" then
    self.audit = audits.new(self.filter, self.supervisor, settings, self.verbose)
  end
  local file = self.counts:keep_file(settings.metrics_file, function() return self.supervisor:stats() end,
    self.log)
  local ok, reason = self.filter:run()
  file:close()
  self.supervisor:stop()
  return ok, reason
end

return M
