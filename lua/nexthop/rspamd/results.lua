--- What a message's lookups have found, for other plugins and rules: in the cache of the task.
local M = {}

--- The key for task:cache_get().
M.key = "nexthop"

local function hosts_of(plan)
  local hosts = {}
  for i, host in ipairs(plan and plan.hosts or {}) do
    hosts[i] = { host = host.host, verdict = host.tls }
  end
  return hosts
end

--- Stores the queries that have a finding. The value is a table by role; each role has a list of
-- { domain, finding, hosts = { { host, verdict }, ... }, error = the code of the error, or nil }.
-- @param found list of { query, finding }
function M.store(task, found)
  local by_role = {}
  for _, pair in ipairs(found) do
    local query = pair[1]
    local entry = {
      domain = query.domain, finding = pair[2], hosts = hosts_of(query.result),
      error = query.err and query.err.code or nil,
    }
    for role in pairs(query.roles) do
      by_role[role] = by_role[role] or {}
      table.insert(by_role[role], entry)
    end
  end
  task:cache_set(M.key, by_role)
end

--- The findings of a role, in the order of its domains: a list.
function M.findings(task, role)
  local by_role = task:cache_get(M.key)
  local list = {}
  for i, entry in ipairs(by_role and by_role[role] or {}) do list[i] = entry.finding end
  return list
end

return M
