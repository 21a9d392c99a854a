--- What GET /check/DOMAIN and on_change have of a domain: the JSON of `nexthop --check --json`, and in
-- `monitor` what the monitor knows beside it.
local json = require "nexthop.json.encode"

local M = {}

-- A line of JSON with one more field.
local function with(line, name, value)
  local object = line:gsub("}%s*$", "")
  return ("%s,%q:%s}\n"):format(object, name, (json.line(value, true):gsub("\n$", "")))
end

local function about(record)
  local state = record.state
  return {
    state = state.level or "unknown", since = state.since, checked = record.checked,
    checks = record.checks or 0,
    seconds = record.seconds and tonumber(("%.3f"):format(record.seconds)),
    is_confirmed = state.level ~= nil and state.candidate == nil and record.trouble == nil,
    failed = record.trouble and { at = record.trouble.at, message = record.trouble.reason } or nil,
  }
end

--- The last result of a domain; without one only what the monitor knows.
-- @param due when it is checked next; nil: it is being checked
-- @param is_outdated is the result too old to say how the domain is?
function M.last(record, due, is_outdated)
  local monitor = about(record)
  if is_outdated then monitor.state, monitor.is_confirmed = "unknown", false end
  monitor.next = due and math.floor(due) or nil
  if not record.report then return json.line({ domain = record.domain, monitor = monitor }, true) end
  return with(record.report, "monitor", monitor)
end

--- What on_change is told: the report that has changed the state.
function M.change(record)
  local monitor = about(record)
  monitor.was = record.state.told_level or "unknown"
  return with(record.changed or record.report, "monitor", monitor)
end

return M
