--- Counts what became of the domains, and tells the exit status from it.
--
-- A domain counts once: as the weakest TLS among the hosts that can be used (may is weaker than
-- encrypt, encrypt than sts, sts than dane), because mail may go to any of them; as `skip` when none can be used;
-- as `no_mail` when it takes no mail; every other failure is an error.
local program = require "nexthop.programs.program"

local M = {}

local Tally = {}
Tally.__index = Tally

M.kinds = { "dane", "sts", "encrypt", "may", "skip", "no_mail", "errors" }

function M.new()
  local self = setmetatable({ total = 0, permanent = 0, temporary = 0 }, Tally)
  for _, kind in ipairs(M.kinds) do self[kind] = 0 end
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

-- Did the lookup of a host fail for now? To have no address is an answer.
local function failed(host)
  local err = host.err
  return err ~= nil and not err.permanent and err.code ~= "not_found"
end

--- What became of a name, to be counted: { kind (nil: not of a plan), temporary, permanent, again }. `again`
-- says that it failed for now and may succeed when it is asked for once more.
function M.outcome_of_plan(plan, err)
  local outcome = { kind = plan and M.kind(plan) or err.code == "no_mail" and "no_mail" or "errors" }
  if plan then
    outcome.temporary = outcome.kind == "skip"
    for _, host in ipairs(plan.hosts) do
      outcome.again = outcome.again or outcome.temporary and failed(host)
    end
  else
    outcome.temporary, outcome.permanent, outcome.again = not err.permanent, err.permanent, not err.permanent
  end
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
  if outcome.kind then self[outcome.kind] = self[outcome.kind] + 1 end
  if outcome.temporary then
    self.temporary = self.temporary + 1
  elseif outcome.permanent then
    self.permanent = self.permanent + 1
  end
end

--- Temporary failures win: who tries again later then loses nothing.
function Tally:status()
  return self.temporary > 0 and program.TEMPORARY or self.permanent > 0 and program.FAILED or program.OK
end

--- "3 domains: 1 dane, 0 encrypt, ..."
function Tally:summary()
  local parts = {}
  for _, kind in ipairs(M.kinds) do -- `sts` is there with --sts alone
    if kind ~= "sts" or self.sts > 0 then parts[#parts + 1] = ("%d %s"):format(self[kind], kind) end
  end
  return ("%d domain%s: %s"):format(self.total, self.total == 1 and "" or "s", table.concat(parts, ", "))
end

return M
