--- What a check of a domain comes to: the result for its state, and the report as JSON.
local domain_metrics = require "nexthop.doctor.metrics"
local doctor_outcome = require "nexthop.doctor.outcome"
local doctor = require "nexthop.programs.nexthop.doctor"
local states = require "nexthop.monitor.states"

local M = {}

-- Whether the domain is well is told by its state, which has been seen twice.
local function metrics_of(domain, state, now)
  local metrics = domain_metrics.of(domain, state, { at = now, seconds = state.seconds })
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

--- @param now seconds since 1970
-- @param plan, err, state what the doctor's lookup calls back with
-- @param args the arguments of the lookup
-- @return { result, report = a line of JSON, findings, metrics, seconds }; or nil and why the check says
-- nothing about the domain
function M.of(domain, args, now, plan, err, state)
  if not state then return nil, err and err.message or "the check was ended" end
  local reason = doctor_outcome.own_fault(state)
  if reason then return nil, reason end
  local report = doctor.renderer(args)({ text = domain, name = domain }, plan, err, state)
  return { result = states.result(state.findings), report = report, findings = state.findings,
    seconds = state.seconds, metrics = metrics_of(domain, state, now) }
end

return M
