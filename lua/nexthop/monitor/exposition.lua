--- The metrics of all domains as text, made anew only where a domain has a new result. With a thousand
-- domains a page has ten thousand lines: to make them for each scrape would take longer than a scrape may.
--
-- Several domains may have the same hosts and zones. What was seen last counts, as in
-- nexthop.doctor.metrics, which says what the families are.
local domain_metrics = require "nexthop.doctor.metrics"
local text = require "nexthop.metrics.text"

local M = {}

local Exposition = {}
Exposition.__index = Exposition

function M.new()
  return setmetatable({ families = {}, names = {}, domains = {} }, Exposition)
end

-- Adds the families of a domain that no other has had. Their first lines are taken out of a page.
local function add_families(self, metrics)
  local is_new = false
  for _, sample in ipairs(metrics.samples) do is_new = is_new or not self.families[sample.name] end
  if not is_new then return end
  local page = text.new()
  domain_metrics.add(page, { metrics })
  local name
  for line in page:finish():gmatch "[^\n]+\n" do
    name = line:match "^# TYPE (%S+) " or name
    if line:find "^# TYPE" and not self.families[name] then
      self.families[name] = { name = name, head = {}, lines = {}, keys = {}, is_sorted = true }
      self.names[#self.names + 1] = name
    end
    local family = self.families[name]
    if line:find "^# [^E]" and not family.has_head then family.head[#family.head + 1] = line end
    if not line:find "^#" then family.has_head = true end
  end
  table.sort(self.names)
end

-- The labels of a sample as they stand in its line, and the line.
local function line_of(sample)
  local page = text.new()
  page:sample(sample.name, sample.labels, sample.value)
  local line = table.concat(page.parts)
  return line:match "^(.*) ", line
end

local function remove(family, key)
  local line = family.lines[key]
  line.users = line.users - 1
  if line.users == 0 then family.lines[key], family.is_sorted = nil, false end
end

--- Puts the metrics of a domain in the place of those that it had.
-- @param metrics of nexthop.doctor.metrics; nil: the domain has none any more
function Exposition:put(domain, metrics)
  local before, after = self.domains[domain] or {}, {}
  if metrics then add_families(self, metrics) end
  for _, sample in ipairs(metrics and metrics.samples or {}) do
    local key, text_of_line = line_of(sample)
    local family = self.families[sample.name]
    local line = family.lines[key]
    if not line then
      line = { at = metrics.at, users = 0 }
      family.lines[key], family.is_sorted = line, false
    end
    if not before[key] then line.users = line.users + 1 end
    -- Only what was kept may be older than what is there. A time says nothing otherwise: clocks are set.
    if before[key] or line.at <= metrics.at then line.text, line.at = text_of_line, metrics.at end
    after[key] = family
  end
  for key, family in pairs(before) do
    if not after[key] then remove(family, key) end
  end
  self.domains[domain] = metrics and after
end

local function sort(family)
  if family.is_sorted then return end
  local keys = {}
  for key in pairs(family.lines) do keys[#keys + 1] = key end
  table.sort(keys)
  family.keys, family.is_sorted = keys, true
end

--- Returns the text, without an end.
function Exposition:text()
  local out, count = {}, 0
  for _, name in ipairs(self.names) do
    local family = self.families[name]
    sort(family)
    if #family.keys > 0 then
      count = count + 1
      out[count] = table.concat(family.head)
    end
    local lines = family.lines
    for i, key in ipairs(family.keys) do out[count + i] = lines[key].text end
    count = count + #family.keys
  end
  return table.concat(out)
end

return M
