--- What nexthop-server, filter-nexthop and table-nexthop count for their pages of metrics.
--
--   local counts = counts_of.new { "mail-from", "rcpt-to" }
--   counts:request "rcpt-to"
--   counts:plan(plan, err)
--   counts:answered(0.25)
--   counts:page(resolver and resolver:stats(), text.new())
local histograms = require "nexthop.metrics.histogram"
local findings = require "nexthop.mail.findings"
local process = require "nexthop.metrics.process"
local text = require "nexthop.metrics.text"

local M = {}

local Counts = {}
Counts.__index = Counts

--- Counts a request by what it asks for.
function Counts:request(op)
  self.requests[op] = self.requests[op] + 1
end

--- Counts a plan, or the error in its place, by what it means for a recipient.
function Counts:plan(plan, err)
  local finding = findings.find("recipient", plan, err)
  self.plans[finding] = self.plans[finding] + 1
end

--- Counts an answer, and how long it took.
function Counts:answered(seconds)
  self.seconds:observe(seconds)
end

local function family(page, name, help, label, values)
  page:family(name, "counter", help)
  local keys = {}
  for key in pairs(values) do keys[#keys + 1] = key end
  table.sort(keys)
  for _, key in ipairs(keys) do page:sample(name .. "_total", { [label] = key }, values[key]) end
end

local function add_resolver(page, stats)
  family(page, "nexthop_lookups", "Lookups that are over, by what DNSSEC says of them.", "security", {
    secure = stats.secure, insecure = stats.insecure, bogus = stats.bogus,
    failed = stats.servfail + stats.timeouts,
  })
  page:family("nexthop_cache_hits", "counter", "Lookups that the resolver's own cache has answered.")
  page:sample("nexthop_cache_hits_total", nil, stats.kept)
  page:family("nexthop_pending", "gauge", "Calls of the resolver that are under way.")
  page:sample("nexthop_pending", nil, stats.pending)
end

--- Completes a page and returns its text.
-- @param stats of the resolver; nil: there is none
-- @param page of nexthop.metrics.text
function Counts:page(stats, page)
  if stats then add_resolver(page, stats) end
  family(page, "nexthop_plans", "Plans, by what they mean for a recipient.", "verdict", self.plans)
  family(page, "nexthop_requests", "Requests, by what they ask for.", "op", self.requests)
  page:family("nexthop_request_seconds", "histogram", "How long requests took until their answer.", "seconds")
  page:histogram("nexthop_request_seconds", nil, self.seconds)
  process.add(page)
  return page:finish()
end

--- Keeps the page in a file, as the option metrics_file wants it.
-- @param path nil: none
-- @param get_stats function(): the counters of the resolver, or nil
-- @param log of nexthop.opensmtpd.log
-- @return an object of nexthop.metrics.writer
function Counts:keep_file(path, get_stats, log)
  return require("nexthop.metrics.writer").new(path, function()
    return self:page(get_stats(), text.new "textfile")
  end, function(reason)
    log:line { error = "metrics_file", message = reason }
  end)
end

--- @param ops what requests may ask for
function M.new(ops)
  local self = setmetatable({ plans = {}, requests = {}, seconds = histograms.new() }, Counts)
  for _, finding in ipairs(findings.findings.recipient) do self.plans[finding] = 0 end
  for _, op in ipairs(ops) do self.requests[op] = 0 end
  return self
end

return M
