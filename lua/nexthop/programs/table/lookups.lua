--- table-nexthop: says which domains are owed TLS, so that smtpd can choose an action for them.
local counts_of = require "nexthop.metrics.counts"
local errors = require "nexthop.errors"
local opensmtpd = require "nexthop.opensmtpd"
local owed = require "nexthop.mail.owed"
local policy = require "nexthop.policy"
local protect = require "nexthop.protect"
local settings_of = require "nexthop.programs.table.settings"
local sources = require "nexthop.programs.table.sources"
local uv = require "luv"

local M = {}

-- What the configuration's own rule says: true or false; nil for nothing, or for nonsense or an error, which
-- are logged.
local function ask_rule(self, event)
  local ok, result = protect.call(self.settings.rule, debug.traceback, event)
  if ok and (result == nil or type(result) == "boolean") then return result end
  if ok then result = "neither true nor false nor nil, but a " .. type(result) end
  self.log:line { error = "rule", domain = event.domain, message = result }
end

local function count_answer(self, request)
  self.counts:answered((uv.hrtime() - request.begun) / 1e9)
end

-- Answers a request once it is known what the domain has, or that it cannot be known in time.
local function decide(self, request, domain, plan, err, is_skipped)
  if request.answered then return end
  count_answer(self, request)
  if is_skipped then return request:not_found() end
  err = err or policy.unfinished(plan)
  local is_found, reason = owed.is_owed(self.settings.verdicts, plan, err)
  if self.settings.rule then
    local said = ask_rule(self, {
      role = "destination", phase = request.operation, domain = domain, result = plan, err = err,
      finding = policy.find("recipient", plan, err),
    })
    if said ~= nil then is_found = said end
  end
  if is_found == nil then
    local message = reason.message
    if not message:find(domain, 1, true) then message = domain .. ": " .. message end
    request:error(message)
  elseif is_found then
    request:found(domain)
  else
    request:not_found()
  end
end

local function is_looked_up(self, request)
  if request.operation == "fetch" then return nil end -- there is no list of all domains
  -- policy.domain() takes addresses apart. Its rules for address literals and the rest hold here, too.
  local domain = not request.query:find("@", 1, true) and policy.domain("@" .. request.query)
  return domain and not self.settings.exclude(domain) and domain or nil
end

local function on_domain(self, request)
  request.begun = uv.hrtime()
  self.counts:request(request.operation)
  local domain = is_looked_up(self, request)
  if not domain then
    count_answer(self, request)
    return request:not_found()
  end
  request.domain = domain
  self.source:ask(domain, function(plan, err, is_skipped)
    local ok, failure = protect.call(decide, debug.traceback, self, request, domain, plan, err, is_skipped)
    if not ok then
      self.log:line { error = "decision", domain = domain, message = failure }
      request:error "the decision failed, see the log of the table"
    end
  end)
end

-- At the deadline the outcome of an earlier lookup counts, if there is one. What this lookup ends with is for
-- the next request.
local function on_deadline(self, request)
  local domain = request.domain
  local known = self.source:give_up(domain)
  if known then return decide(self, request, domain, known.plan, known.err, known.is_skipped) end
  decide(self, request, domain, nil,
    errors.new("timeout", "%s: no answer within %g s", domain, request.seconds))
end

local function is_same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for key, value in pairs(a) do
    if not is_same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Reads the configuration again. A resolver whose options are the same stays, with its cache.
local function update(self, path)
  local settings, reason = settings_of.load(path, self.settings.is_file)
  if not settings then
    self.log:line { error = "update", message = reason }
    return nil, reason
  end
  local former = self.settings
  self.settings = settings
  self.table:set_deadline(settings.deadline)
  local is_new = false
  for _, key in ipairs { "socket", "resolver", "sts", "sts_port", "ca_file" } do
    is_new = is_new or not is_same(former[key], settings[key])
  end
  if is_new then
    local source = self.source
    self.source = sources.new(settings, self.log, self.counts)
    source:close()
  end
  self.file:set_path(settings.metrics_file)
  return true
end

--- Runs the table until the end of input.
-- @param settings of nexthop.programs.table.settings
-- @param options `path`: what is read again at an update; `input`, `output`: descriptors
-- @return true; or nil and why input or output failed
function M.run(settings, options)
  local self = { settings = settings, counts = counts_of.new { "check", "lookup", "fetch" } }
  self.table = opensmtpd.new_table {
    input = options.input, output = options.output, deadline = settings.deadline,
    on_deadline = function(_, request) on_deadline(self, request) end,
    on_update = function() return update(self, options.path) end,
  }
  self.log = self.table.log
  self.source = sources.new(settings, self.log, self.counts)
  self.file = self.counts:keep_file(settings.metrics_file, function() return self.source:stats() end,
    self.log)
  self.table:on("domain", function(request) on_domain(self, request) end)
  local ok, reason = self.table:run()
  self.file:close()
  self.source:close()
  uv.run "nowait" -- what was closed is gone before Lua is
  return ok, reason
end

return M
