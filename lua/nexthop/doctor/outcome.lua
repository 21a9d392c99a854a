--- What the check of a domain comes to for a monitoring system: OK, WARNING, CRITICAL or UNKNOWN.
local live = require "nexthop.doctor.live"

local M = {}

M.OK, M.WARNING, M.CRITICAL, M.UNKNOWN = 0, 1, 2, 3

-- Errors that say nothing about a domain.
local own_faults = { closed = true, forked = true, config = true, no_memory = true }

--- Why a check says nothing about the domain: its lookups failed through no fault of it, or nothing else is
-- answered either.
-- @param state of nexthop.programs.nexthop.doctor
-- @return text; nil: the check says something
function M.own_fault(state)
  for _, entry in ipairs(state.ports) do
    if not entry.plan then
      if own_faults[entry.err.code] or entry.facts.alive == false then return entry.err.message end
    elseif entry.verify_err and own_faults[entry.verify_err.code] then
      return entry.verify_err.message
    else
      for i, host in ipairs(entry.plan.hosts) do
        local facts = entry.facts.hosts and entry.facts.hosts[i]
        local is_own = host.err and own_faults[host.err.code]
        if is_own or facts and facts.alive == false then return host.err.message end
      end
    end
  end
end

-- Findings, if they are errors, by which senders that do DANE or MTA-STS hold mail back, or all do.
local blocking = {}
for name in ([[
  uncovered-certificate key-kinds-differ addresses-differ root-not-sent starttls-not-supported
  certificate-host-mismatch certificate-not-trusted certificate-expired plaintext-injected tls-failed
  bogus-answers bogus-server ds-without-key signature-expired server-silent
  no-such-domain no-valid-mx sts-mismatch
]]):gmatch "%S+" do blocking[name] = true end

-- Findings by which a host cannot be reached. Mail then goes to another one, if there is one.
local unreachable = {
  ["connect-failed"] = true, timeout = true, ["greeting-refused"] = true, ["protocol-error"] = true,
  ["no-address"] = true, ["lookup-failed"] = true, ["reserved-name"] = true,
}

-- Findings about the end of a certificate. What expiries() knows of the host stands for them, as a finding
-- does not say how many days are left.
local about_dates = { ["certificate-expiring"] = true, ["certificate-expired"] = true }

--- The certificates that senders judge by their dates: not those that a record of usage 3 matches, see
-- live.is_dateless().
-- @return a list of { host, not_after }, the first to end in front
function M.expiries(state)
  local by_host, list = {}, {}
  for _, entry in ipairs(state.ports) do
    for _, host in ipairs(entry.report and entry.report.hosts or {}) do
      for _, connection in ipairs(host.connections) do
        local chain = connection.tls and connection.tls.chain
        if chain and chain[1] and not live.is_dateless(connection, entry.port, entry.report.plan) then
          local ends = live.first_to_end(connection).not_after
          by_host[host.host] = math.min(by_host[host.host] or ends, ends)
        end
      end
    end
  end
  for host, ends in pairs(by_host) do list[#list + 1] = { host = host, not_after = ends } end
  table.sort(list, function(a, b)
    if a.not_after ~= b.not_after then return a.not_after < b.not_after end
    return a.host < b.host
  end)
  return list
end

-- Has a host an address at which it was reached?
local function has_open_address(report, name)
  for _, host in ipairs(report and report.hosts or {}) do
    for _, connection in ipairs(host.host == name and host.connections or {}) do
      if not unreachable[connection.result] then return true end
    end
  end
  return false
end

-- Can one of the hosts at a port be reached, as far as it is known?
local function reach(entry, findings)
  local hosts = {}
  for _, host in ipairs(entry.plan and entry.plan.hosts or {}) do hosts[host.host] = true end
  for _, finding in ipairs(findings) do
    if unreachable[finding.name] and finding.severity == "error" and finding.port == entry.port
      and hosts[finding.subject] then
      hosts[finding.subject] = has_open_address(entry.report, finding.subject)
    end
  end
  for _, is_reached in pairs(hosts) do
    if is_reached then return true end
  end
  return false
end

local function port_of(state, finding)
  for _, entry in ipairs(state.ports) do
    if entry.port == finding.port then return entry end
  end
end

local function status_of(state, finding)
  if finding.name == "not-all-checked" then return M.UNKNOWN end
  if finding.severity ~= "error" then return M.WARNING end
  if blocking[finding.name] then return M.CRITICAL end
  if unreachable[finding.name] then
    local entry = port_of(state, finding)
    return entry and reach(entry, state.findings) and M.WARNING or M.CRITICAL
  end
  return M.WARNING
end

local function words_of(finding, several_ports)
  local port = several_ports and finding.port and " port " .. finding.port or ""
  return ("%s%s: %s"):format(finding.subject, port, finding.name)
end

-- The order in which statuses count: mail that is held back is worse than what is not known, and that is
-- worse than a warning.
local ranks = { [M.OK] = 0, [M.WARNING] = 1, [M.UNKNOWN] = 2, [M.CRITICAL] = 3 }

--- Sorts problems, the worst first; the order is otherwise kept.
function M.sort(problems)
  for i, problem in ipairs(problems) do problem.index = i end
  table.sort(problems, function(a, b)
    if a.status ~= b.status then return ranks[a.status] > ranks[b.status] end
    return a.index < b.index
  end)
  return problems
end

--- Judges a check.
-- @param settings { at = seconds since 1970, warning, critical (days) }
-- @return a list of { status, text }, the worst first; it is empty where all is well
function M.problems(state, settings)
  local fault = M.own_fault(state)
  if fault then return { { status = M.UNKNOWN, text = fault } } end
  local problems = {}
  local function add(status, text)
    problems[#problems + 1] = { status = status, text = text }
  end
  local ending, is_told = {}, {}
  for _, each in ipairs(M.expiries(state)) do
    each.left = (each.not_after - settings.at) / 86400
    if each.left < settings.warning then
      ending[#ending + 1] = each
      is_told[each.host .. " certificate-expiring"] = true
      is_told[each.host .. " certificate-expired"] = each.left < 0 -- else that of an issuer has ended
    end
  end
  for _, finding in ipairs(state.findings) do
    local key = finding.subject .. " " .. finding.name
    if finding.severity ~= "hint" and not (about_dates[finding.name] and is_told[key]) then
      add(status_of(state, finding), words_of(finding, #state.ports > 1))
    end
  end
  for _, each in ipairs(ending) do
    local left = each.left
    add(left < settings.critical and M.CRITICAL or M.WARNING, (left < 0 and "%s: its certificate ended "
      .. "%.1f days ago" or "%s: its certificate ends in %.1f days"):format(each.host, math.abs(left)))
  end
  return M.sort(problems)
end

return M
