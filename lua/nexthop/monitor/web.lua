--- What the monitor answers over HTTP.
local core = require "nexthop.core"
local page = require "nexthop.monitor.page"
local reports = require "nexthop.monitor.reports"
local text = require "nexthop.metrics.text"

local M = {}

local HTML, JSON = "text/html; charset=utf-8", "application/json"

local function unescape(path)
  return (path:gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

-- GET /check/DOMAIN: of domains in the list alone, so that nobody can have another one checked.
local function check(monitor, path)
  local name = core.name(unescape(path))
  local record = name and monitor.records[name]
  if not record then return nil end
  local is_outdated = monitor:is_outdated(record)
  return record.report and not is_outdated and 200 or 503, JSON,
    reports.last(record, monitor:due(name), is_outdated)
end

local function overview(monitor)
  local list = {}
  for i, domain in ipairs(monitor.domains) do list[i] = monitor.records[domain] end
  return 200, HTML, page.html(list, {
    due = function(domain) return monitor:due(domain) end,
    is_outdated = function(record) return monitor:is_outdated(record) end,
  }, os.time())
end

local function metrics(monitor, fields)
  return 200, text.CONTENT_TYPE, monitor:metrics(text.reader_of(fields.accept))
end

--- Returns function(path, fields) -> status, content type, body; or nil: there is nothing at that path.
function M.routes(monitor)
  return function(path, fields)
    if path == "/" then return overview(monitor) end
    if path == "/metrics" then return metrics(monitor, fields) end
    local domain = path:match "^/check/([^/]+)$"
    if domain then return check(monitor, domain) end
    return nil
  end
end

return M
