--- Keeps what is known of each domain in a folder, so that a start knows what the last run knew. Each domain
-- has a file of its own, which is written whole under another name and then renamed.
local domain_metrics = require "nexthop.doctor.metrics"
local json = require "nexthop.json.encode"
local uv = require "luv"

local M = {}

local VERSION = 1

local Store = {}
Store.__index = Store

--- @param folder nil: nothing is kept
-- @param log function(text)
function M.new(folder, log)
  return setmetatable({ folder = folder, log = log }, Store)
end

local function path_of(self, domain)
  return ("%s/%s.json"):format(self.folder, (domain:gsub("[^%w_.-]", function(byte)
    return ("%%%02x"):format(byte:byte())
  end)))
end

-- Writes a file whole. Returns nil and why not.
local function write(path, temporary, bytes)
  local file, reason = io.open(temporary, "wb")
  if not file then return nil, reason end
  local ok
  ok, reason = file:write(bytes)
  local closed, why = file:close()
  if ok and closed then ok, reason = os.rename(temporary, path) else ok, reason = nil, reason or why end
  if not ok then os.remove(temporary) end
  return ok, reason
end

--- Writes what is known of a domain. A failure is logged once, until it works again.
-- @param record { domain, state, checked, seconds, report, metrics }
function Store:save(record)
  if not self.folder then return end
  local line = json.line({
    version = VERSION, domain = record.domain, state = record.state, checked = record.checked,
    seconds = record.seconds, report = record.report, metrics = record.metrics,
  }, true)
  local ok, reason = write(path_of(self, record.domain), self.folder .. "/.new", line)
  if not ok and not self.has_failed then
    self.log(("the state cannot be kept, and would be lost at a restart: %s"):format(tostring(reason)))
  end
  self.has_failed = not ok
end

local levels = { ok = true, warning = true, error = true }

-- Is this what save() writes? A file of another version is as good as none.
local function is_record(value, domain)
  if type(value) ~= "table" or value.version ~= VERSION or value.domain ~= domain then return false end
  local state = value.state
  return type(state) == "table" and (state.level == nil or levels[state.level] ~= nil)
    and (state.level == nil or type(state.key) == "string" and type(state.since) == "number")
    and type(value.checked) == "number" and type(value.seconds) == "number"
    and type(value.report) == "string" and type(value.metrics) == "string"
end

local function decoded(text_of_json)
  local ok, value = pcall(require "cjson".decode, text_of_json)
  return ok and type(value) == "table" and value or nil
end

--- Reads what is known of a domain.
-- @return the record, and its metrics of nexthop.doctor.metrics; nil: nothing is known
function Store:load(domain)
  local file = self.folder and io.open(path_of(self, domain), "rb")
  if not file then return nil end
  local line = file:read "*a" or ""
  file:close()
  local record = decoded(line)
  local report, metrics
  if is_record(record, domain) then report, metrics = decoded(record.report), decoded(record.metrics) end
  if not report or not domain_metrics.is_known(metrics) then
    self.log(("%s: is damaged, and is not used"):format(path_of(self, domain)))
    return nil
  end
  record.findings = type(report.findings) == "table" and report.findings or {}
  return record, metrics
end

--- Removes what is known of a domain that is no longer checked.
function Store:forget(domain)
  if self.folder then uv.fs_unlink(path_of(self, domain)) end
end

return M
