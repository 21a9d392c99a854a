--- The page for people: HTML without scripts, which a phone shows, too.
local utf8 = require "nexthop.json.utf8"

local M = {}

local entities = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- Makes any bytes text that HTML shows as it is.
function M.escape(text)
  return (utf8.clean(tostring(text)):gsub("[&<>\"']", entities))
end

local escape = M.escape

local head = [[
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%s - nexthop-monitor</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.45 system-ui, sans-serif; max-width: 52em; margin: 0 auto; padding: 0 1em 2em;
  overflow-wrap: anywhere; }
h1 { font-size: 1.3em; } h2 { font-size: 1.1em; margin: 1.4em 0 0.2em; }
p, ul { margin: 0.3em 0; } ul { padding-left: 1.2em; } li { margin: 0.5em 0; }
b.ok { color: #1a7f37; } b.warning { color: #9a6700; } b.error { color: #d1242f; } b.none { color: #6e7781; }
.small { font-size: 0.85em; opacity: 0.75; } code { font-size: 0.85em; }
</style>
</head>
<body>
]]

local words = { ok = "good", warning = "warning", error = "error", none = "not known" }
local order = { error = 1, warning = 2, none = 3, ok = 4 }

local function time(seconds)
  return os.date("!%Y-%m-%d %H:%M:%S UTC", math.floor(seconds))
end

-- The level that is shown of a record.
local function level_of(record, about)
  return not about.is_outdated(record) and record.state.level or "none"
end

local called = { error = "Error", warning = "Warning", hint = "Hint" }

local function put_findings(out, list)
  if #list == 0 then return end
  out[#out + 1] = "<ul>\n"
  for _, finding in ipairs(list) do
    local class = called[finding.severity] and finding.severity or "none"
    out[#out + 1] = ('<li><b class="%s">%s</b> %s%s: %s <span class="small">(%s)</span>'):format(class,
      called[finding.severity] or "", escape(finding.subject),
      finding.port and (" port %d"):format(finding.port) or "", escape(finding.text), escape(finding.name))
    if finding.cure then out[#out + 1] = "<br>To do: " .. escape(finding.cure) end
    if finding.record then out[#out + 1] = "<br>Publish: <code>" .. escape(finding.record) .. "</code>" end
    out[#out + 1] = "</li>\n"
  end
  out[#out + 1] = "</ul>\n"
end

local function put_times(out, record, due)
  local parts = {}
  if record.checked then
    parts[1] = ("checked %s in %.1f s"):format(time(record.checked), record.seconds)
  else
    parts[1] = "not checked yet"
  end
  if due then parts[#parts + 1] = "next check " .. time(due) end
  if record.checked then
    parts[#parts + 1] = ('<a href="/check/%s">as JSON</a>'):format(escape(record.domain))
  end
  out[#out + 1] = ('<p class="small">%s</p>\n'):format(table.concat(parts, ", "))
end

local function put_domain(out, record, about)
  local level = level_of(record, about)
  local since = level ~= "none" and ", since " .. time(record.state.since) or ""
  out[#out + 1] = ('<h2>%s</h2>\n<p><b class="%s">%s</b>%s</p>\n'):format(escape(record.domain), level,
    words[level], since)
  if about.is_outdated(record) then
    out[#out + 1] = "<p>The last result is too old to say how this domain is.</p>\n"
  end
  if record.state.candidate then
    out[#out + 1] = "<p>The last check found what is below. It counts when the next check finds it, "
      .. "too.</p>\n"
  end
  if record.trouble then
    out[#out + 1] = ("<p>The check of %s says nothing about this domain: %s</p>\n"):format(
      time(record.trouble.at), escape(record.trouble.reason))
  end
  put_findings(out, record.findings or {})
  put_times(out, record, about.due(record.domain))
end

local function summary(records, about)
  local counts, failed = { ok = 0, warning = 0, error = 0, none = 0 }, 0
  for _, record in ipairs(records) do
    local level = level_of(record, about)
    counts[level] = counts[level] + 1
    if record.trouble then failed = failed + 1 end
  end
  local parts = { ("%d of %d good"):format(counts.ok, #records) }
  if counts.error > 0 then parts[#parts + 1] = ("%d with errors"):format(counts.error) end
  if counts.warning > 0 then parts[#parts + 1] = ("%d with warnings"):format(counts.warning) end
  if counts.none > 0 then parts[#parts + 1] = ("%d not known"):format(counts.none) end
  if failed > 0 then parts[#parts + 1] = ("the last check of %d failed"):format(failed) end
  return table.concat(parts, ", ")
end

--- Returns the page.
-- @param records list of { domain, state, checked, seconds, findings, trouble }
-- @param about { due = function(domain) -> seconds since 1970, or nil; is_outdated = function(record) -> is
-- its result too old to say how the domain is? }
-- @param now seconds since 1970
function M.html(records, about, now)
  local sorted = {}
  for i, record in ipairs(records) do sorted[i] = record end
  table.sort(sorted, function(a, b)
    local one, other = order[level_of(a, about)], order[level_of(b, about)]
    if one ~= other then return one < other end
    return a.domain < b.domain
  end)
  local text = summary(records, about)
  local out = { head:format(text), ("<h1>Mail domains: %s</h1>\n"):format(text),
    ('<p class="small">As of %s. The same as <a href="/metrics">metrics</a>.</p>\n'):format(time(now)) }
  for _, record in ipairs(sorted) do put_domain(out, record, about) end
  out[#out + 1] = "</body>\n</html>\n"
  return table.concat(out)
end

return M
