--- Writes metrics as text, for Prometheus and for what reads its formats.
--
--   local page = text.new()
--   page:family("nexthop_lookups", "counter", "Lookups that are over, by what DNSSEC says of their answers.")
--   page:sample("nexthop_lookups_total", { security = "secure" }, 12)
--   return page:finish()
--
-- Two formats differ in how they name a counter. OpenMetrics declares `nexthop_lookups`, and the older text
-- format of Prometheus declares `nexthop_lookups_total`; each refuses the declaration of the other, or does
-- not see it. Therefore a page says what it is for:
--   nil            readers of both: a counter has its help, and its type is left out
--   "openmetrics"  a reader that has asked for OpenMetrics
--   "textfile"     a reader of the older format, such as node_exporter
local utf8 = require "nexthop.json.utf8"

local M = {}

--- The content type of a page for readers of both formats, or of OpenMetrics.
M.CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"

local Page = {}
Page.__index = Page

local function add(self, ...)
  for _, piece in ipairs { ... } do self.parts[#self.parts + 1] = piece end
end

local escapes = { ["\\"] = "\\\\", ["\n"] = "\\n", ['"'] = '\\"' }

-- The text of a label or of a help. What is no UTF-8 would make a reader refuse the page.
local function escape(value)
  return (utf8.filter(tostring(value), function(bytes) return bytes == "\n" and bytes or "?" end)
    :gsub('[\\\n"]', escapes))
end

--- Prints a number so that a reader gets the same one.
function M.number(value)
  if value ~= value then return "NaN" end
  if value == math.huge then return "+Inf" end
  if value == -math.huge then return "-Inf" end
  if value == math.floor(value) and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  for digits = 15, 17 do
    local text = ("%." .. digits .. "g"):format(value)
    if tonumber(text) == value then return text end
  end
  return ("%.17g"):format(value)
end

-- The bound of a bucket, which is a floating-point number whatever its value is: "1.0", not "1".
local function bound_text(bound)
  local text = M.number(bound)
  return text:find "^%-?%d+$" and text .. ".0" or text
end

local function label_text(labels, last_name, last_value)
  local names, parts = {}, {}
  for name in pairs(labels or {}) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = ('%s="%s"'):format(name, escape(labels[name])) end
  if last_name then parts[#parts + 1] = ('%s="%s"'):format(last_name, last_value) end
  return #parts > 0 and "{" .. table.concat(parts, ",") .. "}" or ""
end

--- Begins a family; the samples that follow belong to it.
-- @param name without the suffix of its samples: a counter `nexthop_lookups` has `nexthop_lookups_total`
-- @param kind "counter", "gauge" or "histogram"
-- @param unit that the name ends with, or nil
function Page:family(name, kind, help, unit)
  assert(not self.families[name], name)
  assert(not unit or name:sub(-#unit - 1) == "_" .. unit, name)
  self.families[name] = true
  local declared, type_is_told = name, true
  if kind == "counter" and self.reader ~= "openmetrics" then
    declared, type_is_told = name .. "_total", self.reader == "textfile"
  end
  if type_is_told then add(self, "# TYPE ", declared, " ", kind, "\n") end
  if unit and declared == name then add(self, "# UNIT ", declared, " ", unit, "\n") end
  add(self, "# HELP ", declared, " ", escape(help), "\n")
end

--- Adds a sample of the family that was begun last.
-- @param labels value by name; nil: none
function Page:sample(name, labels, value)
  add(self, name, label_text(labels), " ", M.number(value), "\n")
end

--- Adds the samples of a histogram of nexthop.metrics.histogram.
function Page:histogram(name, labels, histogram)
  local sum = 0
  for i, bound in ipairs(histogram.bounds) do
    sum = sum + histogram.counts[i]
    add(self, name, "_bucket", label_text(labels, "le", bound_text(bound)), " ", M.number(sum), "\n")
  end
  add(self, name, "_bucket", label_text(labels, "le", "+Inf"), " ", M.number(histogram.count), "\n")
  self:sample(name .. "_count", labels, histogram.count)
  self:sample(name .. "_sum", labels, histogram.sum)
end

--- Returns the page, which ends here.
function Page:finish()
  return table.concat(self.parts) .. "# EOF\n"
end

--- @param reader nil, "openmetrics" or "textfile"
function M.new(reader)
  return setmetatable({ reader = reader, parts = {}, families = {} }, Page)
end

--- The reader of a page that is asked for with this value of the header field Accept, or nil for none.
function M.reader_of(accept)
  return accept and accept:lower():find("application/openmetrics-text", 1, true) and "openmetrics" or nil
end

return M
