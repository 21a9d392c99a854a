--- Runs the checks of domains on luv's loop, each as `nexthop --check --verify --authoritative` does it. None
-- of it blocks.
local doctor = require "nexthop.programs.nexthop.doctor"
local protect = require "nexthop.protect"
local supervisor = require "nexthop.luv.supervisor"
local uv = require "luv"

local unpack = unpack or table.unpack -- luacheck: ignore

local M = {}

local Checks = {}
Checks.__index = Checks

-- Seconds after its deadline at which a check that has not ended is given up.
local PATIENCE = 10

-- Lookups that a check may have under way. A resolver for more than there are takes memory for nothing.
local LOOKUPS = 25

local function sized(resolver, jobs)
  local options = { max_pending = math.max(200, jobs * LOOKUPS) }
  for key, value in pairs(resolver) do options[key] = value end
  return options
end

--- @param resolver options of nexthop.new
-- @param jobs how many checks are under way at a time
-- @param args of nexthop.programs.nexthop.doctor
-- @param log function(text)
function M.new(resolver, jobs, args, log)
  local self = setmetatable({ args = args, log = log, running = {}, count = 0 }, Checks)
  self.supervisor = supervisor.new(sized(resolver, jobs), function(reason, pause)
    self.reason = reason
    log(("the resolver: %s; the next try is in %d s"):format(reason, pause))
  end, log, function() self:cancel "the resolver was ended" end)
  return self
end

-- What a check has come to is told from the loop: never before start() returns, and in no coroutine.
local function finish(self, check, ...)
  if not self.running[check] then return end
  self.running[check] = nil
  self.count = self.count - 1
  local values, count = { ... }, select("#", ...)
  check.timer:start(0, 0, protect.callback(function()
    check.timer:close()
    check.callback(unpack(values, 1, count))
  end, self.log))
end

local function give_up(self, check, reason)
  if check.task then check.task:cancel() end
  finish(self, check, nil, { message = reason })
end

-- The arguments of one check: an error in the doctor's code ends this check alone.
local function arguments(self, check)
  return setmetatable({
    on_error = function(problem)
      self.log(("%s: %s"):format(check.domain, problem))
      finish(self, check, nil, { message = "the check has failed, see the log" })
    end,
  }, { __index = self.args })
end

--- Starts the check of a domain.
-- @param callback function(plan, err, state), called once and never before this returns: see doctor.lookup.
-- Without a state there is no result, and `err` says why
function Checks:start(domain, callback)
  local check = { domain = domain, callback = callback, timer = uv.new_timer() }
  self.running[check], self.count = true, self.count + 1
  local resolver = self.supervisor:get()
  if not resolver then return give_up(self, check, "there is no resolver: " .. tostring(self.reason)) end
  check.timer:start(math.ceil((self.args.deadline + PATIENCE) * 1000), 0, protect.callback(function()
    self.log(domain .. ": the check has not ended, and is given up")
    give_up(self, check, "the check has not ended")
  end, self.log))
  local function wake()
    local driver = self.supervisor.driver
    if driver then driver:soon() end
  end
  check.task = doctor.lookup(resolver, arguments(self, check), wake)(domain, function(...)
    finish(self, check, ...)
  end)
  wake()
end

--- Ends all checks that run; each calls back without a state.
function Checks:cancel(reason)
  local all = {}
  for check in pairs(self.running) do all[#all + 1] = check end
  for _, check in ipairs(all) do give_up(self, check, reason) end
end

--- Ends all checks, which do not call back, and the resolver.
function Checks:close()
  for check in pairs(self.running) do
    check.callback = function() end
  end
  self:cancel "the monitor ends"
  self.supervisor:close()
end

return M
