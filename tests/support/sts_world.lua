-- What the specs of MTA-STS share: mail domains in the lab's DNS, with their policies on a web server.
--
--   local sts_world = require "tests.support.sts_world"
--   local world = sts_world.new("sts.example", 60)
--   world:domain("good", { policy = { mode = "enforce", mx = { "mx.good.sts.example" } } })
--   setup(function() world:start() end)
--   teardown(function() world:stop() end)
--   local plan = world:plan("good")
--
-- A domain LABEL is LABEL.ZONE. Its fields, each with a default: policy (a table with mode, max_age and
-- mx; or a text), record (the TXT record, a list of them, or false), records (further lines of the zone),
-- mx (list of its MX hosts; false: none), tlsa (list for the first MX host), web (fields of a host of
-- policy_host.lua; false: no policy host), web_alias (the policy host is an alias of it), certificate.
-- In these texts @ stands for the domain.
local ca = require "tests.support.ca"
local core = require "nexthop.core"
local files = require "tests.support.files"
local policy_host = require "tests.support.policy_host"
local support = require "tests.support"
local lab = support.lab

local M = {}

local World = {}
World.__index = World

--- busted's `it` for tests that need MTA-STS: where the build has none, they are skipped.
function M.it(it, pending)
  local ok, reason = core.sts()
  if ok then return it end
  return function(title) pending(("%s (%s)"):format(title, reason)) end
end

--- Its addresses are 127.NETWORK.0.0/16. The zone is signed unless `signed` is false.
function M.new(zone, network, signed)
  return setmetatable({ zone = zone, network = network, signed = signed, lines = {}, labels = {},
    domains = {},
    root = ca.authority { name = zone .. "-root" },
    server = policy_host.new(("127.%d.0.1"):format(network)) }, World)
end

--- The text of a policy.
function M.text(policy)
  if type(policy) == "string" then return policy end
  local lines = { "version: STSv1", "mode: " .. policy.mode }
  for _, mx in ipairs(policy.mx or {}) do lines[#lines + 1] = "mx: " .. mx end
  lines[#lines + 1] = "max_age: " .. (policy.max_age or 86400)
  return table.concat(lines, "\n") .. "\n"
end

--- The name of a domain.
function World:name(label)
  return label .. "." .. self.zone
end

local function whole(self, label, text)
  return (text:gsub("@", function() return self:name(label) end))
end

--- More records of the zone.
function World:records(text)
  self.lines[#self.lines + 1] = text
end

local function quoted(record)
  return record:sub(1, 1) == '"' and record or '"' .. record:gsub(";", "\\;") .. '"'
end

--- Adds a domain; call this before start(). Returns its name.
function World:domain(label, domain)
  local address = ("127.%d.0.2"):format(self.network)
  self.domains[label] = domain
  self.labels[#self.labels + 1] = label
  if domain.mx == nil then domain.mx = { "mx.@" } end
  for index, host in ipairs(domain.mx or {}) do
    host = whole(self, label, host)
    self:records(("%s MX %d %s."):format(label, 10 * index, host))
    if domain.hosts ~= false then self:records(("%s. A %s"):format(host, domain.address or address)) end
  end
  for _, record in ipairs(domain.tlsa or {}) do
    self:records(("_25._tcp.%s. TLSA %s"):format(whole(self, label, domain.mx[1]), record))
  end
  local records = domain.record
  if records == nil then records = "v=STSv1; id=1" end
  for _, record in ipairs(type(records) == "table" and records or { records or nil }) do
    self:records(("_mta-sts.%s TXT %s"):format(label, quoted(record)))
  end
  if domain.records then self:records(whole(self, label, domain.records)) end
  if domain.web ~= false then
    local name = domain.web_alias or "mta-sts." .. label
    self:records(("%s A %s"):format(name, domain.web_address or self.server.address))
    if domain.web_alias then self:records(("mta-sts.%s CNAME %s"):format(label, name)) end
  end
  return self:name(label)
end

--- Makes the zone, and starts the web server.
function World:start()
  local names = {}
  for _, label in ipairs(self.labels) do names[#names + 1] = "mta-sts." .. self:name(label) end
  self.leaf = ca.leaf { name = self.zone .. "-web", issuer = self.root, names = names }
  for _, label in ipairs(self.labels) do
    local domain = self.domains[label]
    if domain.web ~= false and not domain.web_address then
      local host = domain.web or {}
      host.certificate = domain.certificate or self.leaf
      host.text = host.text or whole(self, label, M.text(domain.policy or { mode = "enforce",
        mx = { "mx.@" } }))
      self.server:add("mta-sts." .. self:name(label), host)
    end
  end
  lab:clear()
  lab:add_zones { { name = self.zone, text = table.concat(self.lines, "\n") .. "\n", signed = self.signed } }
  self.server:start()
end

function World:stop()
  self.server:stop()
  lab:clear()
  files.remove()
end

--- Options of plan with which our web server is found.
-- @param extra more of them
function World:options(extra)
  local options = { sts = true, sts_port = self.server.port, ca_file = self.root.file }
  for key, value in pairs(extra or {}) do options[key] = value end
  return options
end

--- Plans for a domain by its label.
-- @param resolver one of this test (default: a new one)
-- @return what plan returns
function World:plan(label, options, resolver)
  return (resolver or support.resolver()):plan(self:name(label), self:options(options))
end

--- Serves another policy of a domain.
function World:serve(label, policy)
  self.server:set("mta-sts." .. self:name(label), whole(self, label, M.text(policy)))
end

--- How often the policy of a domain was fetched. It waits a moment for as many as `expected`.
function World:fetches(label, expected)
  return self.server:count("mta-sts." .. self:name(label), expected)
end

local function hex(text)
  return (text:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

--- From now on the domain has these TXT records, in a zone that is not signed.
function World:set_record(label, ...)
  local name, records = "_mta-sts." .. self:name(label), {}
  for index, text in ipairs { ... } do
    records[index] = { name = name, type = "TXT", ttl = 0, rdata = hex(string.char(#text) .. text) }
  end
  lab:rule { name = name, type = "TXT", action = #records > 0 and "answer" or "nxdomain", records = records }
end

return M
