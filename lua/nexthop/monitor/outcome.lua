--- What a check of a domain comes to: the result for its state, and the report as JSON.
local domain_metrics = require "nexthop.doctor.metrics"
local doctor = require "nexthop.programs.nexthop.doctor"
local states = require "nexthop.monitor.states"

local M = {}

-- Errors that say nothing about a domain.
local own_faults = { closed = true, cancelled = true, config = true, memory = true, bug = true }

-- Why a check says nothing about the domain: nothing else is answered either. nil: it says something.
local function own_fault(state)
  for _, entry in ipairs(state.ports) do
    if not entry.plan then
      if own_faults[entry.err.code] or entry.facts.alive == false then return entry.err.message end
    else
      for i, host in ipairs(entry.plan.hosts) do
        local facts = entry.facts.hosts and entry.facts.hosts[i]
        if facts and facts.alive == false then return host.err.message end
      end
    end
  end
end

-- Whether the domain is well is told by its state, which has been seen twice.
local function metrics_of(domain, state, check)
  local metrics = domain_metrics.of(domain, state, check)
  for i = #metrics.samples, 1, -1 do
    if metrics.samples[i].name == "nexthop_domain_ok" then table.remove(metrics.samples, i) end
  end
  return metrics
end

--- Puts the state into the metrics of a domain.
-- @param metrics of M.of
function M.add_state(domain, metrics, state)
  local sample = metrics.samples[1]
  if not sample or sample.name ~= "nexthop_domain_ok" then
    sample = { name = "nexthop_domain_ok", labels = { domain = domain } }
    if state.level then table.insert(metrics.samples, 1, sample) end
  end
  sample.value = state.level == "ok" and 1 or 0
end

--- @param check { at = seconds since 1970, seconds = how long it took }
-- @param plan, err, state what the doctor's lookup calls back with
-- @param args the arguments of the lookup
-- @return { result, report = a line of JSON, findings, metrics }; or nil and why the check says nothing of the domain
function M.of(domain, args, check, plan, err, state)
  if not state then return nil, err and err.message or "the check was ended" end
  local reason = own_fault(state)
  if reason then return nil, reason end
  local report = doctor.renderer(args)({ text = domain, name = domain }, plan, err, state)
  return { result = states.result(state.findings), report = report, findings = state.findings,
    metrics = metrics_of(domain, state, check) }
end

return M
