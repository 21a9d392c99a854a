--- The program's loop: so many lookups under way at a time, results out as they come or in order.
-- Memory stays bounded: no more is taken in than is under way, than the reader of the output keeps up
-- with, and than a bounded number of finished results behind one that is not.
local new_driver = require "nexthop.driver"
local uv = require "luv"

local M = {}

local OUTPUT_FULL = 262144 -- bytes that wait for the reader before no more lookups are started
local AHEAD = 10           -- with `ordered`, results held back: at most this times `jobs`

local Run = {}
Run.__index = Run

-- ---- results ------------------------------------------------------------

-- In order: a finished result waits for those before it.
function Run:emit(number, text)
  if not self.ordered then
    self.output:write(text)
    return
  end
  self.held[number] = text
  while self.held[self.due] do
    self.output:write(self.held[self.due])
    self.held[self.due] = nil
    self.due = self.due + 1
  end
end

function Run:start(name)
  self.started = self.started + 1
  local number = self.started
  self.active = self.active + 1
  self.handles[number] = self.lookup(name, function(result, err, facts)
    self.handles[number] = nil
    self.active = self.active - 1
    self.done = self.done + 1
    if not self.stopped then self:emit(number, self.render(name, result, err, facts)) end
  end)
end

function Run:refill()
  while not self.stopped and self.active < self.jobs and self.output.pending < OUTPUT_FULL
    and not (self.ordered and self.started - self.due >= self.jobs * AHEAD) do
    local name = self.source:next()
    if not name then break end
    self:start(name)
  end
  if self.source.ended and self.active == 0 then self:stop() end
end

-- ---- the loop ------------------------------------------------------------

local STEP = 8 -- callbacks and new lookups in turn before the loop sees to signals and the bar

function Run:drive()
  if self.closed then return end
  if not self.stopped then
    for _ = 1, STEP do
      self.resolver:process()
      self:refill()
      if self.stopped or self.resolver:timeout() ~= 0 then break end
    end
  end
  self:finish()
  self.driver:arm()
end

-- Nothing new, nothing more from what is under way; what is done is still written.
function Run:stop(status)
  self.status = self.status or status
  if self.stopped then return end
  self.stopped = true
  self.driver:close()
  for number, handle in pairs(self.handles) do
    handle:cancel()
    self.handles[number] = nil
  end
  if self.ordered then -- what is done behind what never will be
    local numbers = {}
    for number in pairs(self.held) do numbers[#numbers + 1] = number end
    table.sort(numbers)
    for _, number in ipairs(numbers) do self.output:write(self.held[number]) end
    self.held = {}
  end
end

function Run:finish(at_once)
  if not self.closed then self.output:flush() end
  if self.closed or not at_once and not (self.stopped and self.output.pending == 0) then return end
  self.closed = true
  self.source:close()
  self.output:close()
  for _, handle in ipairs(self.watchers) do handle:close() end
  uv.stop()
end

-- The first signal stops and writes out; the second does not wait for the reader.
function Run:signal(number)
  self:stop(128 + number)
  self:finish(self.signalled)
  self.signalled = true
end

-- Is SIGHUP ignored, as nohup(1) has it? Then it is to stay so.
local function hup_is_ignored()
  local file = io.open "/proc/self/status"
  local last = file and file:read("*a"):match "\nSigIgn:%s*%x*(%x)\n"
  if file then file:close() end
  return last ~= nil and tonumber(last, 16) % 2 == 1
end

--- options: resolver; source and, made with their wake functions, stream.input and stream.output as
-- functions; lookup(name, callback) returning a handle; render(name, ...) with what the callback was
-- given, returning text; jobs; ordered; tick, called five times a second with this object.
-- Returns nil when all went through, else an exit status (128 + signal; 141: nobody reads the output;
-- 74: it cannot be written, and the reason).
function M.run(options)
  local self = setmetatable({
    resolver = options.resolver, lookup = options.lookup, render = options.render, jobs = options.jobs,
    ordered = options.ordered, held = {}, due = 1, handles = {}, watchers = {},
    started = 0, active = 0, done = 0,
  }, Run)
  self.driver = new_driver(uv, self.resolver, function() self:drive() end)
  self.output = options.output(function(reason, code)
    if reason then
      self.reason = code ~= "EPIPE" and reason or nil
      self:stop(code == "EPIPE" and 141 or 74)
    end
    if self.stopped then self:finish() else self.driver:soon() end
  end)
  self.source = options.source(function() self.driver:soon() end)

  local signals = { sigint = 2, sigterm = 15, sighup = not hup_is_ignored() and 1 or nil }
  for name, number in pairs(signals) do
    local signal = uv.new_signal()
    self.watchers[#self.watchers + 1] = signal
    signal:start(name, function() self:signal(number) end)
  end
  if options.tick then
    local ticker = uv.new_timer()
    self.watchers[#self.watchers + 1] = ticker
    ticker:start(200, 200, function() options.tick(self) end)
  end
  self.driver:soon()
  uv.run()
  uv.run() -- what was closed ends
  return self.status, self.reason, self
end

return M
