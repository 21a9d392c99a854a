--- Where table-nexthop has its plans from: a resolver of its own, or a nexthop-server. A source looks a
-- domain up once however often it is asked for it meanwhile, and goes on when the table has given up waiting:
-- what it ends with is then known when smtpd's client comes again.
local errors = require "nexthop.errors"
local outcomes = require "nexthop.programs.table.outcomes"
local protect = require "nexthop.protect"
local supervisor = require "nexthop.luv.supervisor"
local uv = require "luv"

local M = {}

local longest = 30 -- seconds that a lookup may take, whoever still waits for it
local most = 1000 -- lookups under way

local Source = {}
Source.__index = Source

local function deliver(self, domain, ...)
  local callbacks = self.waiting[domain]
  if not callbacks then return end
  self.waiting[domain], self.count = nil, self.count - 1
  if callbacks.is_late then self.outcomes:add(domain, ...) end
  for _, callback in ipairs(callbacks) do callback(...) end
end

-- A lookup that fails to start has failed.
local function start(self, domain, callbacks)
  callbacks.due = uv.now() + (longest + 5) * 1000
  local ok, failure = protect.call(self.start, protect.text, self, domain)
  if not ok then deliver(self, domain, nil, errors.new("servfail", "%s: %s", domain, failure)) end
end

--- Asks for a domain.
-- @param callback function(plan, err, is_skipped), called once, perhaps before this returns
function Source:ask(domain, callback)
  local callbacks = self.waiting[domain]
  if callbacks then
    callbacks[#callbacks + 1] = callback
    -- no answer can come any more, the server has lost the question
    if uv.now() > callbacks.due then start(self, domain, callbacks) end
    return
  end
  if self.count >= most then
    self:relieve()
    if self.count >= most then
      return callback(nil, errors.new("servfail", "%s: too many lookups are under way", domain))
    end
  end
  callbacks = { callback }
  self.waiting[domain], self.count = callbacks, self.count + 1
  start(self, domain, callbacks)
end

--- Somebody waits no longer for the lookup of a domain, which goes on.
-- @return what the last such lookup ended with, with the fields plan, err and is_skipped; nil if that is not
-- known
function Source:give_up(domain)
  local callbacks = self.waiting[domain]
  if callbacks then callbacks.is_late = true end
  return self.outcomes:get(domain)
end

--- Ends the source. Whoever waits gets an error.
function Source:close()
  self:stop()
  local domains = {}
  for domain in pairs(self.waiting) do domains[#domains + 1] = domain end
  for _, domain in ipairs(domains) do
    deliver(self, domain, nil, errors.new("closed", "%s: the configuration has changed", domain))
  end
end

-- ---- a resolver of this process ------------------------------------------------------

local Local = setmetatable({}, Source)
Local.__index = Local

function Local:start(domain)
  local handle = self.supervisor:plan(domain, self.options, function(plan, err)
    deliver(self, domain, plan, err)
  end)
  if not handle then
    deliver(self, domain, nil, errors.new("servfail", "%s: there is no resolver at the moment", domain))
  end
end

--- The counters of the resolver; nil when there is none, or another process has it.
function Local:stats() return self.supervisor:stats() end

function Local.relieve() end -- each ends by its deadline

function Local:stop()
  self.supervisor:stop()
end

-- ---- a nexthop-server ----------------------------------------------------------------

local Remote = setmetatable({}, Source)
Remote.__index = Remote

local ask_server

-- Takes an answer of the server, whatever it is.
local function take(self, domain, is_again, answer, err)
  -- the server was started anew since the last question: its new socket is not asked yet
  if err and err.code == "closed" and not is_again and not self.is_closing then
    return ask_server(self, domain, true)
  end
  if err then
    err = errors.new("servfail", "%s: nexthop-server: %s", domain, protect.text(err.message))
  elseif not answer.plan and not answer.error and not answer.skipped then
    err = errors.new("servfail", "%s: nexthop-server gave no result", domain)
  end
  if err then return deliver(self, domain, nil, err) end
  if not answer.skipped then self.counts:plan(answer.plan, answer.error) end
  deliver(self, domain, answer.plan, answer.error, answer.skipped ~= nil)
end

function ask_server(self, domain, is_again)
  local function done(answer, err)
    local ok, failure = protect.call(take, protect.text, self, domain, is_again, answer, err)
    if not ok then
      deliver(self, domain, nil, errors.new("servfail", "%s: nexthop-server: %s", domain, failure))
    end
  end
  local ok, err = self.client:recipient(domain, self.options, done)
  if not ok then done(nil, err) end
end

function Remote:start(domain)
  ask_server(self, domain, false)
end

function Remote.stats() end

--- A server that has taken so many requests and answers none: the connection ends, and all of them fail.
function Remote:relieve()
  self.is_closing = true
  self.client:close()
  self.is_closing = false
end

function Remote:stop()
  self.is_closing = true
  self.client:close()
end

--- @param settings of nexthop.programs.table.settings
-- @param log of nexthop.opensmtpd.log
-- @param counts of nexthop.metrics.counts
function M.new(settings, log, counts)
  local self = { waiting = {}, count = 0, counts = counts, outcomes = outcomes.new() }
  -- without `sts` a server would do what its own configuration says
  self.options = { deadline = longest, max_hosts = 1000, sts = settings.sts == true }
  if settings.socket then
    self.client = require("nexthop.client").new(settings.socket)
    return setmetatable(self, Remote)
  end
  if settings.sts then self.options.sts_port, self.options.ca_file = settings.sts_port, settings.ca_file end
  self.supervisor = supervisor.new(settings.resolver, function(reason, pause)
    log:line { error = "resolver", message = reason, retry = pause }
  end, function(warning)
    log:line { event = "warning", message = warning }
  end)
  self.supervisor.count_plan = function(plan, err) counts:plan(plan, err) end
  self.supervisor:get()
  return setmetatable(self, Local)
end

return M
