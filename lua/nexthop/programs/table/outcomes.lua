--- What lookups ended with that had taken too long for smtpd. The resolver's cache has no failures: a domain
-- one of whose hosts has silent servers takes as long each time, and would never have an answer in time.
local policy = require "nexthop.policy"
local uv = require "luv"

local M = {}

local longest = 60 -- seconds that an outcome counts
local most = 1000 -- outcomes

local Outcomes = {}
Outcomes.__index = Outcomes

-- Removes the oldest outcome, unless a newer one has replaced it.
local function remove_first(self)
  local outcome = self.queue[self.first]
  self.queue[self.first] = nil
  self.first = self.first + 1
  if self.known[outcome.domain] == outcome then self.known[outcome.domain] = nil end
end

local function remove_old(self)
  while self.first <= self.last and self.queue[self.first].added <= uv.now() - longest * 1000 do
    remove_first(self)
  end
end

-- Does this say something about the domain, and not only that it could not be looked up for now?
local function is_result(plan, err, is_skipped)
  if plan then return not policy.unfinished(plan) end
  return is_skipped or err ~= nil and err.permanent == true
end

--- Keeps what a lookup ended with. A temporary failure is not kept, and does not replace what is known.
function Outcomes:add(domain, plan, err, is_skipped)
  if not is_result(plan, err, is_skipped) then return end
  local ttl = (plan or err or {}).ttl
  local seconds = longest
  if ttl and ttl > 0 then seconds = math.min(ttl, longest) end -- 0: a host failed
  remove_old(self)
  if self.last - self.first + 1 >= most then remove_first(self) end
  local outcome = {
    domain = domain, plan = plan, err = err, is_skipped = is_skipped,
    added = uv.now(), ends = uv.now() + seconds * 1000,
  }
  self.last = self.last + 1
  self.queue[self.last], self.known[domain] = outcome, outcome
end

--- Returns what is known of a domain, with the fields plan, err and is_skipped; or nil.
function Outcomes:get(domain)
  remove_old(self)
  local outcome = self.known[domain]
  return outcome and outcome.ends > uv.now() and outcome or nil
end

function M.new()
  return setmetatable({ known = {}, queue = {}, first = 1, last = 0 }, Outcomes)
end

return M
