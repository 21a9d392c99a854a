--- The options of nexthop.new, checked, and turned into the steps in which the C half configures
-- libunbound. Misuse (a wrong type, an unknown key) raises; what only shows when it is tried is
-- returned as nil and an error of code `config` that names the culprit.
local anchors = require "nexthop.config.anchors"
local caches = require "nexthop.config.cache"
local checks = require "nexthop.config.checks"
local defaults = require "nexthop.config.defaults"
local errors = require "nexthop.errors"
local servers_of = require "nexthop.config.servers"
local tls = require "nexthop.config.tls"
local unbound_conf = require "nexthop.config.unbound_conf"

local fail, strings = checks.fail, checks.strings

local M = {}

--- Where the root's trust anchor usually is, in the order they are tried.
M.anchor_places = {
  "/var/lib/unbound/root.key",        -- kept up to date by unbound-anchor (Debian, RFC 5011)
  "/usr/share/dns/root.key",          -- Debian's dns-root-data
  "/etc/unbound/root.key",
  "/usr/local/etc/unbound/root.key",  -- FreeBSD
  "/var/unbound/db/root.key",         -- OpenBSD
  "/etc/trusted-key.key",             -- Arch Linux's dnssec-anchors
  "/etc/bind/bind.keys",
}

local types = {
  forward = "string or table", resolv_conf = "string or false", stub = "table",
  trust_anchor_file = "string or false", trust_anchor = "string or table", unbound_conf = "string",
  options = "table", timeout = "number", max_pending = "number", budget = "number",
  tls = "boolean", tls_cert_bundle = "string", sts_cache = "string",
  cache = "number or string",
}

local function check_types(options)
  for key, value in pairs(options) do
    local want = types[key]
    if not want then
      error(("unknown option '%s' to 'new'"):format(errors.one_line(tostring(key))), 4)
    end
    local got = type(value)
    if value == false and want:find "false" then got = "string" end
    if not (" " .. want .. " "):find(" " .. got .. " ", 1, true) then
      error(("bad option '%s' to 'new' (%s expected, got %s)"):format(key, want, got), 4)
    end
  end
end

local function number(options, key, default, min, max, whole)
  local value = options[key]
  if value == nil then return default end
  if not (value >= min and value <= max) or whole and value % 1 ~= 0 then
    error(("bad option '%s' to 'new' (%s%s to %s expected, got %s)"):format(key,
      whole and "integer from " or "", min, max, value), 4)
  end
  return value
end

local function add_anchors(config, options, conf_anchor)
  local function step(...) config.steps[#config.steps + 1] = { ... } end
  local file = options.trust_anchor_file

  if options.trust_anchor then
    local list = strings(options.trust_anchor, "trust_anchor")
    for _, text in ipairs(list) do
      local records = anchors.records(text)
      for _, record in ipairs(#records > 0 and records or { text }) do
        local owner, reason = anchors.owner(record)
        if not owner then fail("trust_anchor: '%s' %s", record, reason) end
        step("anchor", record, nil, ("trust_anchor '%s'"):format(record))
        config.anchor_zone = config.anchor_zone or owner
      end
    end
    if #list == 0 then fail "trust_anchor: the list is empty" end
  end
  if file == nil and not options.trust_anchor and not options.unbound_conf then
    file = checks.first_existing(M.anchor_places)
    if not file then
      fail("no trust anchor found: install one (Debian: dns-root-data) or name it as "
        .. "trust_anchor_file; looked at %s", table.concat(M.anchor_places, ", "))
    end
  end
  if file then
    local owner, records = anchors.check_file(file, "trust_anchor_file", anchors.key_clauses)
    local what = ("trust_anchor_file '%s'"):format(file)
    config.anchor_zone = config.anchor_zone or owner
    for _, record in ipairs(records or {}) do step("anchor", record, nil, what) end
    if not records then step("anchor_file", file, nil, what) end
  end
  if options.unbound_conf and file == nil and not options.trust_anchor
    and not conf_anchor then
    fail("unbound_conf: %s holds no trust anchor: name one as trust_anchor_file, or say "
      .. "trust_anchor_file = false to go without DNSSEC", options.unbound_conf)
  end
  config.anchor_zone = config.anchor_zone or conf_anchor
  if config.anchor_zone and config.anchor_zone ~= "." then
    config.anchor_zone = config.anchor_zone:gsub("%.$", "")
  end
end

local refused = {
  ["auto-trust-anchor-file"] = "libunbound may end the process over it: use trust_anchor_file",
  ["trust-anchor-file"] = "use trust_anchor_file, which is checked",
  ["trust-anchor"] = "use trust_anchor, which is checked",
  ["trusted-keys-file"] = "use trust_anchor_file, which is checked",
  ["unwanted-reply-threshold"] = "libunbound then drops its cache, trust anchors and all",
}

local function add_options(config, options)
  local keys = {}
  for key in pairs(options.options or {}) do
    if type(key) ~= "string" then
      error("bad option 'options' to 'new' (option names as keys expected)", 0)
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local name = key:gsub(":$", "")
    if refused[name] then fail("options: '%s' is not taken: %s", key, refused[name]) end
    for _, value in ipairs(strings(options.options[key], "options." .. key)) do
      local what = ("options: '%s'"):format(key)
      if unbound_conf.crashes[name] then unbound_conf.crashes[name](value, what) end
      if name == "module-config" then config.no_validator = unbound_conf.no_validator(value, what) end
      if (name == "tls-upstream" or name == "ssl-upstream") and value == "yes" then tls.check(what) end
      config.steps[#config.steps + 1] =
        { "option", name .. ":", value, ("options: '%s' = '%s'"):format(key, value) }
    end
  end
end

local function append(list, items)
  for _, item in ipairs(items) do list[#list + 1] = item end
end

-- The order matters: later steps change what earlier ones have set.
local function build(options)
  local servers = servers_of.read(options)
  local config = {
    steps = defaults.first(servers.on_this_machine, #servers.forwarders > 0), warnings = servers.warnings,
    no_validator = servers.no_validator,
    forwarders = #servers.forwarders > 0 and table.concat(servers.forwarders, ", ") or nil,
  }
  append(config.steps, servers.steps)
  add_anchors(config, options, servers.conf_anchor)
  if options.cache then append(config.steps, caches.steps(caches.bytes(options.cache))) end
  add_options(config, options)
  append(config.steps, tls.steps(options))
  if config.anchor_zone and config.no_validator then fail("%s", config.no_validator) end
  return config
end

--- Some values are refused by libunbound only when it starts: names the options it may be about.
function M.blame(err, options)
  if err.message:find("libunbound does not start", 1, true) and next(options.options or {}) then
    local names = {}
    for key in pairs(options.options) do names[#names + 1] = "'" .. key .. "'" end
    table.sort(names)
    err.message = err.message .. "; options given: " .. table.concat(names, ", ")
  end
  return err
end

--- Checks options and turns them into what core.new takes.
-- @return config, or nil and the error
function M.build(options)
  check_types(options)
  local timeout = number(options, "timeout", 10, 0.001, 86400)
  local max_pending = number(options, "max_pending", 1000, 1, 1000000, true)
  local budget = number(options, "budget", 0.005, 0, 3600)
  if options.sts_cache and (options.sts_cache == "" or options.sts_cache:find "%z") then
    error("bad option 'sts_cache' to 'new' (a path expected)", 3)
  end
  if options.cache then
    local bytes, reason = caches.bytes(options.cache)
    if not bytes then error(errors.one_line(("bad option 'cache' to 'new' (%s)"):format(reason)), 3) end
  end
  local ok, config = pcall(build, options)
  if not ok then
    if type(config) == "table" then return nil, config end
    error(errors.one_line(tostring(config)), 3)
  end
  for _, step in ipairs(config.steps) do
    if step[4] then step[4] = errors.one_line(step[4]) end
  end
  config.timeout = timeout
  config.max_pending = max_pending
  config.budget = budget
  config.sts_cache = options.sts_cache
  if options.cache then
    local bytes = caches.bytes(options.cache)
    config.cache_bytes, config.sts_bytes = caches.ours(bytes), caches.policies(bytes)
  end
  config.idle = function() end
  return config
end

return M
