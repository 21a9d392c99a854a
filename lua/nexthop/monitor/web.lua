--- What the monitor answers over HTTP.
local core = require "nexthop.core"
local page = require "nexthop.monitor.page"
local reports = require "nexthop.monitor.reports"

local M = {}

local HTML, JSON = "text/html; charset=utf-8", "application/json"

local function unescape(text)
  return (text:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- GET /check/DOMAIN: of domains in the list alone, so that nobody can have another one checked.
local function check(monitor, text)
  local name = core.name(unescape(text))
  local record = name and monitor.records[name]
  if not record then return nil end
  return record.report and 200 or 503, JSON, reports.last(record, monitor.schedule:due(name))
end

local function overview(monitor)
  local list = {}
  for i, domain in ipairs(monitor.domains) do list[i] = monitor.records[domain] end
  return 200, HTML, page.html(list, function(domain) return monitor.schedule:due(domain) end, monitor:now())
end

--- Returns function(path) -> status, content type, body; or nil: there is nothing at that path.
function M.routes(monitor)
  return function(path)
    path = path:match "^[^?#]*"
    if path == "/" then return overview(monitor) end
    if path == "/metrics" then return 200, M.METRICS, monitor.metrics and monitor:metrics() or "# EOF\n" end
    local domain = path:match "^/check/([^/]+)$"
    if domain then return check(monitor, domain) end
    return nil
  end
end

M.METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

return M
