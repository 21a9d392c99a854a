--- Counts what became of the domains, and tells the exit status from it.
--
-- A domain counts once: as the weakest TLS among the hosts that can be used (may is weaker than
-- encrypt, encrypt than sts, sts than dane), because mail may go to any of them; as `skip` when none can be
-- used; as `no_mail` when it takes no mail; every other failure is an error. With --verify it counts as the
-- worst of its hosts.
local program = require "nexthop.programs.program"

local M = {}

local Tally = {}
Tally.__index = Tally

local kinds = {
  plan = { "dane", "sts", "encrypt", "may", "skip", "no_mail", "errors" }, -- `sts` is told with --sts alone
  -- what --verify has seen: `temporary` is a domain with no other failures than temporary ones
  verify = { "ok", "failing", "temporary", "no_mail", "errors" },
}

--- @param mode "verify" or "plan"; nil: names are counted whose outcome has no kind
function M.new(mode)
  local self = setmetatable({ total = 0, permanent = 0, temporary = 0, mode = mode, counts = {} }, Tally)
  for _, kind in ipairs(kinds[mode] or {}) do self.counts[kind] = 0 end
  return self
end

local strength = { may = 1, encrypt = 2, sts = 3, dane = 4 }

--- "dane", "sts", "encrypt", "may" or "skip": what a plan counts as.
function M.kind(plan)
  local weakest
  for _, host in ipairs(plan.hosts) do
    local rank = strength[host.tls]
    if rank and (not weakest or rank < strength[weakest]) then weakest = host.tls end
  end
  return weakest or "skip"
end

-- Did a lookup of a host fail for now, so that it has no addresses, or not all? To have none is an answer.
local function failed(host)
  local err = host.err
  return err ~= nil and not err.permanent and err.code ~= "not_found"
    or host.failed ~= nil and next(host.failed) ~= nil
end

--- What became of a name, to be counted: { kind (nil: not of a plan), temporary, permanent, again }. `again`
-- says that something failed for now and may succeed when it is asked for once more.
function M.outcome_of_plan(plan, err)
  local outcome = { kind = plan and M.kind(plan) or err.code == "no_mail" and "no_mail" or "errors" }
  if plan then
    outcome.temporary = outcome.kind == "skip"
    for _, host in ipairs(plan.hosts) do
      outcome.again = outcome.again or failed(host)
    end
  else
    outcome.temporary, outcome.permanent, outcome.again = not err.permanent, err.permanent, not err.permanent
  end
  return outcome
end

--- The same of what resolver:verify gave. A host that fails what it is owed counts as permanent.
function M.outcome_of_report(report, err)
  if not report then
    local outcome = M.outcome_of_plan(nil, err)
    outcome.unusable = err.code == "config" -- an option that does not work: no name will do better
    return outcome
  elseif report.ok then
    return { kind = "ok" }
  end
  local outcome, failing = { kind = "temporary" }, false
  for _, host in ipairs(report.hosts) do
    if not host.ok and not host.temporary then outcome.kind = "failing" end
    failing = failing or not host.ok
    outcome.again = outcome.again or host.temporary and not (host.err and host.err.code == "not_found")
  end
  if not failing and not report.expired then outcome.kind = "failing" end
  outcome.temporary, outcome.permanent = outcome.kind == "temporary", outcome.kind == "failing"
  return outcome
end

--- The same of the result of a single step: only a failure matters.
function M.outcome_of_step(err)
  local temporary = err ~= nil and err.permanent == false
  return {
    temporary = temporary, permanent = err ~= nil and not temporary,
    again = temporary and err.code ~= "not_found",
  }
end

--- Counts what became of a name.
function Tally:add(outcome)
  self.total = self.total + 1
  if outcome.kind then self.counts[outcome.kind] = self.counts[outcome.kind] + 1 end
  self.unusable = self.unusable or outcome.unusable
  if outcome.temporary then
    self.temporary = self.temporary + 1
  elseif outcome.permanent then
    self.permanent = self.permanent + 1
  end
end

--- Of a plan temporary failures win: who tries again later then loses nothing. Of what was verified the
-- others do: a host that fails what it is owed is to be mended, whatever else is out of reach for now.
function Tally:status()
  if self.unusable then return program.USAGE end
  local permanent, temporary = self.permanent > 0, self.temporary > 0
  if self.mode == "verify" and permanent then return program.FAILED end
  return temporary and program.TEMPORARY or permanent and program.FAILED or program.OK
end

--- "3 domains: 1 dane, 0 encrypt, ...", or "3 names: 1 failed" where the outcomes have no kinds.
function Tally:summary()
  if not kinds[self.mode] then
    return ("%d names: %d failed"):format(self.total, self.permanent + self.temporary)
  end
  local parts = {}
  for _, kind in ipairs(kinds[self.mode]) do
    if kind ~= "sts" or self.counts.sts > 0 then
      parts[#parts + 1] = ("%d %s"):format(self.counts[kind], kind)
    end
  end
  return ("%d domain%s: %s"):format(self.total, self.total == 1 and "" or "s", table.concat(parts, ", "))
end

return M
