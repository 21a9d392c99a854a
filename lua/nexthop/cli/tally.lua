--- Counts what became of the domains, and tells the exit status from it.
--
-- A domain counts once: as the weakest TLS among the hosts that can be used (may is weaker than
-- encrypt, encrypt than dane), because mail may go to any of them; as `skip` when none can be used;
-- as `no_mail` when it takes no mail; every other failure is an error.
local M = {}

M.OK, M.PERMANENT, M.USAGE, M.UNAVAILABLE, M.IO, M.TEMPORARY = 0, 1, 64, 69, 74, 75

local Tally = {}
Tally.__index = Tally

M.kinds = { "dane", "encrypt", "may", "skip", "no_mail", "errors" }

function M.new()
  local self = setmetatable({ total = 0, permanent = 0, temporary = 0 }, Tally)
  for _, kind in ipairs(M.kinds) do self[kind] = 0 end
  return self
end

local strength = { may = 1, encrypt = 2, dane = 3 }

--- "dane", "encrypt", "may" or "skip": what a plan counts as.
function M.kind(plan)
  local weakest
  for _, host in ipairs(plan.hosts) do
    local rank = strength[host.tls]
    if rank and (not weakest or rank < strength[weakest]) then weakest = host.tls end
  end
  return weakest or "skip"
end

--- Counts a plan, or a failure.
function Tally:add(plan, err)
  local kind = plan and M.kind(plan) or err.code == "no_mail" and "no_mail" or "errors"
  self[kind] = self[kind] + 1
  self:count(kind == "skip" or err and not err.permanent, err)
end

--- Counts the result of a single step: only a failure matters.
function Tally:count(temporary, err)
  self.total = self.total + 1
  if temporary then
    self.temporary = self.temporary + 1
  elseif err then
    self.permanent = self.permanent + 1
  end
end

--- Temporary failures win: who tries again later then loses nothing.
function Tally:status()
  return self.temporary > 0 and M.TEMPORARY or self.permanent > 0 and M.PERMANENT or M.OK
end

--- "3 domains: 1 dane, 0 encrypt, ..."
function Tally:summary()
  local parts = {}
  for i, kind in ipairs(M.kinds) do parts[i] = ("%d %s"):format(self[kind], kind) end
  return ("%d domain%s: %s"):format(self.total, self.total == 1 and "" or "s", table.concat(parts, ", "))
end

return M
