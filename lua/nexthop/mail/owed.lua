--- Which TLS a whole domain is owed, for an MTA that can choose it for a domain, and not for each of its
-- hosts.
local errors = require "nexthop.errors"
local findings = require "nexthop.mail.findings"

local M = {}

--- The verdicts that ask for TLS.
M.verdicts = { "dane", "encrypt", "sts" }

-- Findings that say for certain that no mail can be delivered. Nothing is owed then.
local is_final = { null_mx = true, no_host = true, broken = true }

-- The error of the first host that failed, and not because it has no address.
local function first_error(plan)
  for _, host in ipairs(plan.hosts) do
    if host.err and host.err.code ~= "not_found" then return host.err end
  end
  return errors.new("servfail", "%s: the lookup failed", plan.domain)
end

--- Is every host that has an address owed one of these verdicts? A host whose addresses could not be looked
-- up has none here, but a host whose TLSA records could not be looked up leaves the answer open, whatever the
-- other hosts are owed.
-- @param verdicts a table: verdicts["dane"] is true
-- @param plan, err what resolver:plan() gave
-- @return true or false; or nil and the error for which it cannot be said
function M.is_owed(verdicts, plan, err)
  if not plan then
    if is_final[findings.without_plan(err)] then return false end
    return nil, err or errors.new("servfail", "there is no plan")
  end
  local unfinished = findings.unfinished(plan)
  if unfinished then return nil, unfinished end
  local all, some = true, false
  for _, host in ipairs(plan.hosts) do
    if #host.ips > 0 then
      if host.tls == "skip" and not (host.err and host.err.code == "no_dane") then
        return nil, host.err or first_error(plan)
      end
      some = true
      if not verdicts[host.tls] then all = false end
    end
  end
  if some then return all end
  if is_final[findings.without_address(plan)] then return false end
  return nil, first_error(plan)
end

return M
