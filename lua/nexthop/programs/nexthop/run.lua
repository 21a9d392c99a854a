--- The program's loop: so many lookups under way at a time, results out as they come or in order.
-- Memory stays bounded: no more is taken in than is under way, than the reader of the output keeps up
-- with, and than a bounded number of finished results behind one that is not.
local core = require "nexthop.core"
local new_driver = require "nexthop.luv.driver"
local signals = require "nexthop.luv.signals"
local uv = require "luv"

local M = {}

local OUTPUT_FULL = 262144 -- bytes that wait for the reader before no more lookups are started
local AHEAD = 10           -- with `ordered`, results held back: at most this times `jobs`
local FAILED_FULL = 8388608 -- bytes of names that failed for now, before they are asked for again
local FEWER = 4            -- each further time so many times fewer are under way
local PAUSE = 6500 -- ms from a failure to the next try: libunbound remembers it for up to six seconds

local Run = {}
Run.__index = Run

-- ---- results ------------------------------------------------------------

function Run:print(text, outcome)
  self.done = self.done + 1
  self.printed(outcome)
  self.output:write(text)
end

-- In order: a finished result waits for those before it.
function Run:emit(entry)
  if not self.ordered then return self:print(entry.text, entry.outcome) end
  self.held[entry.number] = entry
  while self.held[self.due] do
    entry = self.held[self.due]
    self.held[self.due] = nil
    self.due = self.due + 1
    self:print(entry.text, entry.outcome)
  end
end

-- ---- names, and those that failed for now ------------------------------------------

-- A name that failed for now is asked for again when nothing else is to be started: at the end of the list;
-- where more of the list is yet to come (a pipe) or must wait (`ordered`); or when many have failed. Until
-- then its last result is kept, and printed if the run is stopped. Kept names are in the order of failing.

-- Bytes that a kept name takes.
local function size(entry)
  return #entry.name + #entry.text + 400
end

-- Keeps the result of a name that is to be asked for again.
function Run:keep(entry)
  self.failed, self.failed_bytes = self.failed + 1, self.failed_bytes + size(entry)
  entry.due = uv.now() + PAUSE
  self.kept[#self.kept + 1] = entry
end

-- Takes the kept names whose time has come for the next pass, once all others have their results. The name
-- that has failed most often decides how many are under way.
function Run:begin_pass()
  if #self.kept == 0 or self.active > 0 then return end
  local wait = self.kept[1].due - uv.now()
  if wait > 0 then
    self.waker:start(wait, 0, function() self.driver:soon() end)
    return
  end
  local entries, later, tries = {}, {}, 1
  self.failed_bytes = 0
  for _, entry in ipairs(self.kept) do
    if entry.due <= uv.now() then
      entries[#entries + 1], tries = entry, math.max(tries, entry.tries)
    else
      later[#later + 1] = entry
      self.failed_bytes = self.failed_bytes + size(entry)
    end
  end
  self.pass = {
    entries = entries, at = 0, jobs = math.max(1, math.floor(self.jobs / FEWER ^ tries)), begun = uv.hrtime(),
  }
  self.kept = later
end

function Run:finished(entry, result, err, facts)
  self.handles[entry.number] = nil
  self.active = self.active - 1
  if self.stopped then return end
  self.retried[entry.number] = nil
  if entry.tries > 0 then self.failed = self.failed - 1 end
  local text, outcome = self.render(entry.name, result, err, facts)
  -- What was short of an address the first time is not lost where nothing at all is answered the next time.
  if not (entry.outcome and outcome.temporary and not entry.outcome.temporary) then
    entry.text, entry.outcome = text, outcome
  end
  if entry.outcome.again and entry.tries < self.retry then
    entry.tries = entry.tries + 1
    return self:keep(entry)
  end
  self:emit(entry)
end

function Run:start(entry)
  self.active = self.active + 1
  if entry.tries > 0 then self.retried[entry.number] = entry end
  self.handles[entry.number] = self.lookup(entry.name, function(result, err, facts)
    self:finished(entry, result, err, facts)
  end, self.pass and (uv.hrtime() - self.pass.begun) / 1e9)
end

-- The next name to start, or nil.
function Run:next()
  local pass = self.pass
  if pass then
    pass.at = pass.at + 1
    local entry = pass.entries[pass.at]
    if entry then
      pass.entries[pass.at] = false
      return entry
    end
    if self.active > 0 then return nil end
    self.pass = nil
  end
  local is_full = self.ordered and self.started - self.due >= self.jobs * AHEAD
  local name = not is_full and self.failed_bytes < FAILED_FULL and self.source:next()
  if name then
    self.started = self.started + 1
    return { number = self.started, name = name, tries = 0 }
  end
  self:begin_pass()
  if self.pass then return self:next() end
end

function Run:refill()
  while not self.stopped and self.active < (self.pass and self.pass.jobs or self.jobs)
    and self.output.pending < OUTPUT_FULL do
    local entry = self:next()
    if not entry then break end
    self:start(entry)
  end
  if self.source.ended and self.active == 0 and self.failed == 0 then self:stop() end
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
  -- what is done behind what never will be, and the last results of what would be asked for again
  local left = self.held
  for _, entry in pairs(self.retried) do left[entry.number] = entry end
  for _, list in ipairs { self.kept, self.pass and self.pass.entries or {} } do
    for i = 1, #list do
      if list[i] then left[list[i].number] = list[i] end
    end
  end
  local numbers = {}
  for number in pairs(left) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  for _, number in ipairs(numbers) do self:print(left[number].text, left[number].outcome) end
  self.held, self.kept, self.retried, self.pass = {}, {}, {}, nil
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

--- options: resolver; source and, made with their wake functions, stream.input and stream.output as
-- functions; lookup(name, callback, age) returning a handle (age is nil for a name that is asked for the
-- first time, and else how many seconds ago this pass over the names that failed began); render(name, ...)
-- with what the callback was given, returning text and an outcome of tally.lua; printed(outcome), called for
-- each name once; jobs; ordered; retry: how often a name that failed for now is asked for again; tick,
-- called five times a second with this object.
-- Returns nil when all went through, else an exit status (128 + signal; 141: nobody reads the output;
-- 74: it cannot be written, and the reason).
function M.run(options)
  local self = setmetatable({
    resolver = options.resolver, lookup = options.lookup, render = options.render, jobs = options.jobs,
    printed = options.printed, ordered = options.ordered, held = {}, due = 1, handles = {}, watchers = {},
    started = 0, active = 0, done = 0,
    retry = options.retry, kept = {}, retried = {}, failed = 0, failed_bytes = 0,
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
  self.waker = uv.new_timer()
  self.watchers[1] = self.waker

  local function end_by(number)
    return function() self:signal(number) end
  end
  self.watchers[2] = signals.watch(uv, {
    sigint = end_by(2), sigterm = end_by(15), sighup = not core.hup_is_ignored() and end_by(1) or nil,
  }, true)
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
