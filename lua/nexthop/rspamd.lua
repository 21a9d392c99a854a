--- The plugin `nexthop` of rspamd: what is to be said about the mail hosts of senders' and recipients'
-- domains, as symbols. plugins.d/nexthop.lua calls register() and is all that rspamd sees of it.
local lua_util = require "lua_util"
local rspamd_logger = require "rspamd_logger"
local rspamd_tcp = require "rspamd_tcp"
local rspamd_util = require "rspamd_util"
local client = require "nexthop.rspamd.client"
local errors = require "nexthop.errors"
local maps = require "nexthop.rspamd.maps"
local protect = require "nexthop.protect"
local queries_of = require "nexthop.rspamd.queries"
local results = require "nexthop.rspamd.results"
local selector = require "nexthop.rspamd.selector"
local settings_of = require "nexthop.rspamd.settings"
local protocol = require "nexthop.server.protocol"

local M = { symbols = require "nexthop.rspamd.symbols" }

local N = "nexthop"

-- ---- what is said about it ---------------------------------------------------------------

local phases = { sender = "mail-from", recipient = "rcpt-to", mime_from = "data", reply_to = "data" }

local function ask_policy(self, task, query)
  local symbols = M.symbols[query.role]
  local ok, answer = pcall(self.settings.policy, {
    role = query.role, phase = phases[query.role],
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

-- Does a map exclude a mail host of this plan, or all of their addresses?
local function is_excluded(self, plan)
  if not plan then return false end
  local known, excluded = 0, 0
  for _, host in ipairs(plan.hosts) do
    if self.excludes_host and self.excludes_host(host.host) then return true end
    if self.excludes_ip then
      for _, ip in ipairs(host.ips) do
        known = known + 1
        if self.excludes_ip(ip) then excluded = excluded + 1 end
      end
    end
  end
  return known > 0 and excluded == known
end

-- What is said of a query: a finding, or nil.
local function find(self, task, query)
  if query.skipped then return nil end
  if not query.finding then
    query.finding = "failure"
    query.err = query.err or errors.new("timeout", "%s: no answer in time", query.domain)
  end
  lua_util.debugm(N, task, "%s %s: %s %s", query.role, query.domain, query.finding,
    query.err and query.err.message or "")
  if is_excluded(self, query.result) then
    lua_util.debugm(N, task, "%s %s: its mail hosts are excluded", query.role, query.domain)
    return nil
  end
  if self.settings.policy then return ask_policy(self, task, query) end
  return query.finding
end

local function conclude(self, task, queries)
  local said, order, found = {}, {}, {}
  for _, query in ipairs(queries) do
    local finding = find(self, task, query)
    if finding then found[#found + 1] = { query, finding } end
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
  results.store(task, found) -- before the symbols, by which others know that it is there
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
    -- without these the server would do what its own configuration says
    recipient = { sts = self.settings.sts == true, tlsrpt = self.settings.tlsrpt == true },
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
    query.finding, query.result = policy.find(query.operation, plan, err), plan
    query.err = err or policy.unfinished(plan)
  end, function() conclude(self, task, queries) end)
end

local function check(self, task)
  local queries = queries_of.collect(self, task)
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

local function add_exclusions(self, cfg)
  local settings = self.settings
  local function warn(text) rspamd_logger.warnx(cfg, "%s", text) end
  local reason
  self.excludes = function() return false end
  if settings.exclude_domains then
    self.excludes, reason = maps.names("exclude_domains", settings.exclude_domains,
      "domains that nexthop does not look up", warn)
    if not self.excludes then return nil, reason end
  end
  if settings.exclude_hosts then
    self.excludes_host, reason = maps.names("exclude_hosts", settings.exclude_hosts,
      "mail hosts of domains of which nexthop says nothing", warn)
    if not self.excludes_host then return nil, reason end
  end
  if settings.exclude_ips then
    self.excludes_ip, reason = maps.addresses(cfg, "exclude_ips", settings.exclude_ips,
      "addresses of mail hosts of domains of which nexthop says nothing")
    if not self.excludes_ip then return nil, reason end
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

-- Beside the group `nexthop`: one for each role, and one for all that is said of DANE.
local function further_groups(role, finding)
  local groups = { N .. "_" .. role }
  if finding:find "dane" then groups[2] = N .. "_dane" end
  return groups
end

local function register_symbols(self, cfg)
  local id = cfg:register_symbol {
    name = "NEXTHOP_CHECK", type = "callback", group = N, flags = "empty,nostat",
    augmentations = { ("timeout=%f"):format(self.settings.deadline) },
    callback = function(task) check(self, task) end,
  }
  for role, symbols in pairs(M.symbols) do
    for finding, symbol in pairs(symbols) do
      cfg:register_symbol {
        name = symbol[1], type = "virtual", parent = id, group = N, groups = further_groups(role, finding),
        score = symbol[2], description = symbol[3], one_shot = true,
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
  -- as for the plugins of rspamd: these two keys here, or else in `options`
  local looked_at = lua_util.config_check_local_or_authed(cfg, N, false, false)
  self.check_local, self.check_authed = looked_at[1], looked_at[2]
  if self.settings.socket then choose_json() else add_worker(self, cfg) end
  selector.register(cfg)
  register_symbols(self, cfg)
end

return M
