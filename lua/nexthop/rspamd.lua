--- The plugin `nexthop` of rspamd: what is to be said about the mail hosts of senders' and recipients'
-- domains, as symbols. plugins.d/nexthop.lua calls register() and is all that rspamd sees of it.
local lua_util = require "lua_util"
local rspamd_ip = require "rspamd_ip"
local rspamd_logger = require "rspamd_logger"
local rspamd_tcp = require "rspamd_tcp"
local rspamd_util = require "rspamd_util"
local client = require "nexthop.rspamd.client"
local domains = require "nexthop.rspamd.domains"
local errors = require "nexthop.errors"
local protect = require "nexthop.protect"
local settings_of = require "nexthop.rspamd.settings"
local protocol = require "nexthop.server.protocol"

local M = { symbols = require "nexthop.rspamd.symbols" }

local N = "nexthop"

-- ---- what is to be looked up ----------------------------------------------------------

-- What rspamd's own plugins take for local: loopback, link-local, Unix sockets and `local_addrs` of
-- the options. rspamd does not look into an IPv4 address that is written as an IPv6 one.
local function is_local(task)
  local ip = task:get_from_ip()
  if not ip or not ip:is_valid() then return false end
  if ip:is_local() then return true end
  local mapped = ip:to_string():lower():match "^::ffff:(%d+%.%d+%.%d+%.%d+)$"
  local inner = mapped and rspamd_ip.from_string(mapped)
  return inner ~= nil and inner:is_valid() and inner:is_local() or false
end

local function add(self, task, queries, role, address)
  local domain, reason = domains.of(address)
  if domain and self.excludes(domain) then reason = "excluded" end
  if reason then
    lua_util.debugm(N, task, "%s %s is not looked at: %s", role, address.addr, reason)
  elseif not queries[role .. domain] then
    queries[role .. domain] = true
    queries[#queries + 1] = { role = role, domain = domain, address = address.addr }
    return true
  end
end

local function collect(self, task)
  local settings, queries = self.settings, {}
  local inside = task:get_user() ~= nil or is_local(task)
  if settings.sender and not inside then
    local from = task:get_from { "smtp", "orig" }
    if from and from[1] then add(self, task, queries, "sender", from[1]) end
  end
  if settings.recipients and inside then
    local count = 0
    for _, address in ipairs(task:get_recipients { "smtp", "orig" } or {}) do
      if count >= settings.max_recipients then break end
      if add(self, task, queries, "recipient", address) then count = count + 1 end
    end
  end
  return queries
end

-- ---- what is said about it ---------------------------------------------------------------

local function ask_policy(self, task, query)
  local symbols = M.symbols[query.role]
  local ok, answer = pcall(self.settings.policy, {
    role = query.role, phase = query.role == "sender" and "mail-from" or "rcpt-to",
    address = query.address, domain = query.domain, finding = query.finding,
    result = query.result, err = query.err, task = task,
  })
  if not ok then
    rspamd_logger.errx(task, "policy: %s", protect.text(answer))
  elseif answer == false then
    return nil
  elseif symbols[answer] or answer == "ok" then
    return answer
  elseif answer ~= nil then
    rspamd_logger.errx(task, "policy: '%s' is no finding of a %s", protect.text(answer), query.role)
  end
  return query.finding
end

local function conclude(self, task, queries)
  local said, order = {}, {}
  for _, query in ipairs(queries) do
    local finding
    if not query.skipped then
      if not query.finding then
        query.finding = "failure"
        query.err = query.err or errors.new("timeout", "%s: no answer in time", query.domain)
      end
      lua_util.debugm(N, task, "%s %s: %s %s", query.role, query.domain, query.finding,
        query.err and query.err.message or "")
      finding = query.finding
      if self.settings.policy then finding = ask_policy(self, task, query) end
    end
    local symbol = finding and M.symbols[query.role][finding]
    if symbol then
      local name = symbol[1]
      if not said[name] then
        said[name] = {}
        order[#order + 1] = name
      end
      table.insert(said[name], query.domain)
    end
  end
  for _, name in ipairs(order) do task:insert_result(name, 1.0, said[name]) end
end

-- ---- the lookups -------------------------------------------------------------------------

-- The resolver gives up a little before the task does: what it knows by then is worth having.
local function shortened(deadline)
  return math.max(deadline - 0.25, deadline * 0.8)
end

local function ask_server(self, task, queries)
  client.ask {
    tcp = rspamd_tcp, task = task, host = self.settings.socket, timeout = self.settings.deadline,
    queries = queries, options = { deadline = shortened(self.settings.deadline) },
    recipient = { sts = self.settings.sts, tlsrpt = self.settings.tlsrpt },
    findings = M.symbols,
    restore = self.settings.policy ~= nil, -- which gets to see the plan
    log = function(text) rspamd_logger.infox(task, "%s", text) end,
    done = function() conclude(self, task, queries) end,
  }
end

local function ask_worker(self, task, queries)
  local policy = require "nexthop.policy"
  local ok, reason = self.worker:ready()
  if not ok then
    for _, query in ipairs(queries) do query.err = errors.new("config", "%s", reason) end
    return conclude(self, task, queries)
  end
  self.worker:look_up(task, queries, self.settings.deadline, function(query, plan, err)
    query.finding, query.result = policy.find(query.role, plan, err), plan
    query.err = err or policy.unfinished(plan)
  end, function() conclude(self, task, queries) end)
end

local function check(self, task)
  local queries = collect(self, task)
  if #queries == 0 then return end
  if self.worker then ask_worker(self, task, queries) else ask_server(self, task, queries) end
end

-- ---- registration ---------------------------------------------------------------------------

-- The least of what is configured for any worker, in seconds.
local function task_timeout(cfg)
  local least
  local function see(section, depth)
    if type(section) ~= "table" or depth > 3 then return end
    local value = section.task_timeout
    if type(value) == "number" and value > 0 then least = math.min(least or value, value) end
    for _, inner in pairs(section) do see(inner, depth + 1) end
  end
  see(cfg:get_all_opt "worker", 1)
  local all = cfg:get_all_opt "options"
  local value = type(all) == "table" and all.task_timeout
  if type(value) ~= "number" or value <= 0 then value = 8 end
  return math.min(least or value, value)
end

-- A set, as rspamd calls no function of ours for a map that has become empty. Its keys are compiled
-- when they are others than before: rspamd's comparison knows neither wildcards nor U-labels.
local function follow_map(map, warn)
  local digest, excludes
  return function(domain)
    local now = map:get_data_digest()
    if now ~= digest then
      local entries = {}
      for entry in pairs(map:get_stats(false) or {}) do entries[#entries + 1] = entry end
      digest, excludes = now, domains.exclusions(entries, warn)
    end
    return excludes(domain)
  end
end

local function add_exclusions(self, cfg)
  local given = self.settings.exclude_domains
  self.excludes = function() return false end
  if type(given) == "table" then
    local wrong
    self.excludes = domains.exclusions(given, function(text) wrong = wrong or text end)
    if wrong then return nil, wrong end
  elseif given then
    local map = cfg:add_map {
      type = "set", url = given, description = "domains that nexthop does not look up",
    }
    if not map then return nil, "exclude_domains: cannot be had: " .. given end
    self.excludes = follow_map(map, function(text) rspamd_logger.warnx(cfg, "%s", text) end)
  end
  return true
end

-- rspamd has no cjson of its own; ucl reads JSON, too.
local function choose_json()
  if pcall(require, "cjson") then return end
  local ucl = require "ucl"
  protocol.json = function()
    return function(text)
      local parser = ucl.parser()
      local ok, err = parser:parse_string(text)
      if not ok then error(err, 0) end
      return parser:get_object()
    end, ucl.null
  end
end

-- The options of a recipient's plan that the configuration has.
local function recipient_options(settings)
  return { sts = settings.sts, tlsrpt = settings.tlsrpt, sts_port = settings.sts and settings.sts_port or nil,
    ca_file = settings.sts and settings.ca_file or nil }
end

local function add_worker(self, cfg)
  local paths = rawget(_G, "rspamd_paths") or {}
  local directories = {}
  for _, path in ipairs { paths.RUNDIR or "", paths.DBDIR or "", os.getenv "TMPDIR" or "/tmp" } do
    if path:sub(1, 1) == "/" then directories[#directories + 1] = path end
  end
  self.worker = require("nexthop.rspamd.worker").new {
    resolver = self.settings.resolver, deadline = shortened(self.settings.deadline),
    recipient = recipient_options(self.settings),
    directories = directories, tcp = rspamd_tcp, now = self.now, config = cfg,
    log = function(text) rspamd_logger.errx(cfg, "nexthop: %s", text) end,
  }
  -- rspamd calls this when the last task of an ending worker is done
  cfg:register_finish_script(function() self.worker:close() end)
end

local function register_symbols(self, cfg)
  local id = cfg:register_symbol {
    name = "NEXTHOP_CHECK", type = "callback", group = N, flags = "empty,nostat",
    augmentations = { ("timeout=%f"):format(self.settings.deadline) },
    callback = function(task) check(self, task) end,
  }
  for _, symbols in pairs(M.symbols) do
    for _, symbol in pairs(symbols) do
      cfg:register_symbol {
        name = symbol[1], type = "virtual", parent = id, group = N, score = symbol[2],
        description = symbol[3],
      }
    end
  end
end

--- Reads the section `nexthop`, and registers the symbols; on an error says which, and leaves the
-- module disabled.
-- @param cfg rspamd_config
function M.register(cfg)
  local given = cfg:get_all_opt(N)
  if not given then
    lua_util.disable_module(N, "config")
    return
  end
  local function warn(text) rspamd_logger.warnx(cfg, "nexthop: %s", text) end
  local self = { now = rspamd_util.get_time }
  local wrong
  self.settings, wrong = settings_of.check(given, task_timeout(cfg), warn)
  if self.settings then
    local ok, reason = add_exclusions(self, cfg)
    if not ok then wrong = { reason } end
  end
  if wrong then
    for _, reason in ipairs(wrong) do rspamd_logger.errx(cfg, "nexthop: %s", reason) end
    lua_util.disable_module(N, "config")
    return
  end
  if self.settings.socket then choose_json() else add_worker(self, cfg) end
  register_symbols(self, cfg)
end

return M
