--- The monitor: has the domains checked when their time comes, keeps what was found, and tells changes.
local checks = require "nexthop.monitor.checks"
local exposition = require "nexthop.monitor.exposition"
local hook = require "nexthop.monitor.hook"
local json = require "nexthop.json.encode"
local outcome = require "nexthop.monitor.outcome"
local process_metrics = require "nexthop.metrics.process"
local protect = require "nexthop.protect"
local reports = require "nexthop.monitor.reports"
local schedule = require "nexthop.monitor.schedule"
local settings_of = require "nexthop.programs.monitor.settings"
local states = require "nexthop.monitor.states"
local store = require "nexthop.monitor.store"
local text = require "nexthop.metrics.text"
local uv = require "luv"

local M = {}

local Monitor = {}
Monitor.__index = Monitor

--- The time of the schedule, in seconds: a clock that is never set. It begins with the machine's time.
function Monitor:now()
  return self.begun + (uv.hrtime() - self.begun_at) / 1e9
end

--- When a domain is checked next, in seconds since 1970; nil: it is being checked.
function Monitor:due(domain)
  local due = self.schedule:due(domain)
  return due and due - self:now() + os.time()
end

--- Is the last result of a domain so old that it says nothing about today?
function Monitor:is_outdated(record)
  return record.checked ~= nil
    and math.abs(os.time() - record.checked) > 3 * self.settings.interval + self.settings.deadline
end

-- ---- results ------------------------------------------------------------

local function announce(self, record, before)
  local names = {}
  for _, finding in ipairs(record.findings) do
    if finding.severity ~= "hint" then
      names[#names + 1] = ("%s of %s"):format(finding.name, finding.subject)
    end
  end
  self.log(("%s: %s (was: %s)%s"):format(record.domain, record.state.level, before or "not known",
    #names > 0 and ": " .. table.concat(names, ", ") or ""))
end

local function tell(self, record)
  if not self.settings.on_change then return states.told(record.state, record.state) end
  if states.is_untold(record.state) then self.hook:add(record.domain) end
end

-- Takes the result of a check into the record of its domain. Returns: is the domain to be checked again soon?
local function take(self, record, ...)
  local now = os.time()
  local found, reason = outcome.of(record.domain, self.args, now, ...)
  if not found then
    if not record.trouble then self.log(("%s: the check says nothing: %s"):format(record.domain, reason)) end
    record.trouble = { at = now, reason = reason }
    return true
  end
  record.trouble = nil
  record.checked, record.seconds = now, found.seconds
  record.report, record.findings = found.report, found.findings
  local before = record.state.level
  if states.step(record.state, found.result, record.checked) then
    record.changed = record.report
    announce(self, record, before)
  end
  outcome.add_state(record.domain, found.metrics, record.state)
  self.exposition:put(record.domain, found.metrics)
  record.metrics = json.line(found.metrics, true)
  tell(self, record)
  self.store:save(record)
  return states.is_unsettled(record.state)
end

local tick

local function begin(self, domain)
  local record, running = self.records[domain], self.checks
  running:start(domain, function(...)
    if self.checks ~= running then return end -- there is another configuration meanwhile
    record.checks = (record.checks or 0) + 1
    local ok, again = protect.call(take, debug.traceback, self, record, ...)
    if not ok then -- an error in our code: the domain is checked again like all others
      self.log(("%s: %s"):format(domain, protect.text(again)))
      record.trouble = { at = os.time(), reason = "its result could not be read, see the log" }
      again = true
    end
    self.schedule:finish(domain, self:now(), again)
    tick(self)
  end)
end

-- Starts the checks whose time has come, and sets the timer for the next one.
function tick(self)
  if self.closed then return end
  while self.checks.count < self.settings.jobs do
    local domain = self.schedule:take(self:now())
    if not domain then break end
    begin(self, domain)
  end
  self.timer:stop()
  local left = self.checks.count < self.settings.jobs and self.schedule:left(self:now())
  if left then self.timer:start(math.ceil(left * 1000) + 1, 0, self.tick) end
end

-- ---- on_change ------------------------------------------------------------

local function new_hook(self)
  return hook.new(self.settings.on_change, {
    log = self.log,
    take = function(domain)
      local record = self.records[domain]
      if not record or not states.is_untold(record.state) then return nil end
      local state = record.state
      return reports.change(record), { key = state.key, level = state.level }
    end,
    done = function(domain, told)
      local record = self.records[domain]
      if not record then return end
      states.told(record.state, told)
      if states.is_untold(record.state) then
        self.hook:add(domain)
      else
        record.changed = nil
      end
      self.store:save(record)
    end,
  })
end

--- Returns the page of metrics.
-- @param reader of nexthop.metrics.text
function Monitor:metrics(reader)
  local page = text.new(reader)
  process_metrics.add(page)
  return self.exposition:text() .. page:finish()
end

-- ---- configuration ------------------------------------------------------------

-- What is known of a domain: from the last configuration, or from the folder of the state.
local function record_of(self, domain, old)
  if old[domain] then return old[domain] end
  local record, metrics = self.store:load(domain)
  if record then self.exposition:put(domain, metrics) end
  return record or { domain = domain, state = {} }
end

--- Works by other settings. What is known of the domains is kept.
function Monitor:configure(settings)
  local old, old_store = self.records, self.store
  if self.checks then self.checks:close() end
  self.settings, self.args = settings, settings_of.arguments(settings)
  self.store = store.new(settings.state, self.log)
  self.records, self.domains = {}, settings.domains
  local known = {}
  for _, domain in ipairs(settings.domains) do
    local record = record_of(self, domain, old)
    self.records[domain] = record
    if record.checked then
      known[domain] = { checked = record.checked - os.time() + self:now(),
        again = record.trouble ~= nil or states.is_unsettled(record.state) }
    end
  end
  for domain in pairs(old) do
    if not self.records[domain] then
      old_store:forget(domain)
      self.exposition:put(domain, nil)
    end
  end
  self.checks = checks.new(settings.resolver, settings.jobs, self.args, self.log)
  self.schedule = schedule.new(settings.domains, settings, self:now(), known)
  self.hook.command = settings.on_change
  for _, domain in ipairs(settings.domains) do tell(self, self.records[domain]) end
  tick(self)
end

--- @param settings of nexthop.programs.monitor.settings
-- @param log function(text)
function M.new(settings, log)
  local self = setmetatable({
    log = log, settings = settings, records = {}, begun = os.time(), begun_at = uv.hrtime(),
    timer = uv.new_timer(), exposition = exposition.new(),
  }, Monitor)
  self.tick = protect.callback(function() tick(self) end, log)
  self.store = store.new(nil, log)
  self.hook = new_hook(self)
  self:configure(settings)
  return self
end

--- Ends all checks, and calls back when the program of on_change has ended, too.
function Monitor:close(callback)
  if self.closed then return end
  self.closed = true
  self.timer:close()
  self.checks:close()
  self.hook:close(callback)
end

return M
