--- The options of nexthop.new, checked, and turned into the steps in which the C half configures
-- libunbound. Misuse (a wrong type, an unknown key) raises; what only shows when it is tried is
-- returned as nil and an error of code `config` that names the culprit.
local anchors = require "nexthop.config.anchors"
local common = require "nexthop.config.common"
local core = require "nexthop.core"
local is_local = require("nexthop.mail.addresses").is_loopback
local unbound_conf = require "nexthop.config.unbound_conf"

local fail, one_line, read_file = common.fail, common.one_line, common.read_file

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
  tls = "boolean", tls_cert_bundle = "string",
}

local function check_types(options)
  for key, value in pairs(options) do
    local want = types[key]
    if not want then
      error(("unknown option '%s' to 'new'"):format(one_line(tostring(key))), 4)
    end
    local got = type(value)
    if value == false and want:find "false" then got = "string" end
    if not (" " .. want .. " "):find(" " .. got .. " ", 1, true) then
      error(("bad option '%s' to 'new' (%s expected, got %s)"):format(key, want, got), 4)
    end
  end
end

-- A string or a list of strings, as a list.
local function strings(value, key)
  if type(value) == "string" then return { value } end
  if type(value) ~= "table" then
    error(("bad option '%s' to 'new' (string or list of strings expected, got %s)")
      :format(key, type(value)), 0)
  end
  local n = 0
  for name in pairs(value) do
    n = n + 1
    if type(name) ~= "number" then
      error(("bad option '%s' to 'new' (string or list of strings expected, got a table with the key '%s')")
        :format(key, tostring(name)), 0)
    end
  end
  for i = 1, n do -- one that is nil must not hide those behind it
    if type(value[i]) ~= "string" then
      error(("bad option '%s' to 'new' (entry %d is a %s, not a string)"):format(key, i, type(value[i])), 0)
    end
  end
  return value
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

-- ---- addresses ------------------------------------------------------------

-- "127.0.0.1@5353#name" -> "127.0.0.1"; nil if it is no address.
local function host_of(address)
  local host, rest = address:match "^([%x.:]+[^@#]*)(.*)$"
  if not host or host:find "[%c%s]" or not core.address(host) then return nil end
  local port = rest:match "^@(%d+)"
  if port then
    if tonumber(port) < 1 or tonumber(port) > 65535 then return nil end
    rest = rest:gsub("^@%d+", "")
  end
  if rest ~= "" and not rest:find "^#[%w._-]+$" then return nil end
  return host
end

-- Whether this libunbound does DNS over TLS, and checks names: asked of a context of its own.
-- Debian's is built on nettle; told to use TLS by an unbound.conf, it silently does without.
local function check_tls(what)
  local probe = core.new {
    steps = { { "forward", "127.0.0.1@853#localhost", nil, "forward" }, { "tls", nil, nil, "tls" } },
    timeout = 1, max_pending = 1, budget = 1, idle = function() end,
  }
  if not probe then
    fail("%s: this libunbound (%s) has no TLS, or none that checks names (Debian's is without)", what,
      core.versions().libunbound)
  end
  probe:close()
end

-- ---- the parts ------------------------------------------------------------

local function add_servers(config, options)
  local forwarders, near = {}, false
  local function step(...) config.steps[#config.steps + 1] = { ... } end

  if options.forward then
    for _, address in ipairs(strings(options.forward, "forward")) do
      local host = host_of(address)
      if not host then fail("forward: '%s' is no address (such as 127.0.0.1@5353)", address) end
      step("forward", address, nil, ("forward '%s'"):format(address))
      forwarders[#forwarders + 1] = address
      near = near or is_local(host)
    end
    if #forwarders == 0 then fail "forward: the list is empty" end
  end
  for zone, addresses in pairs(options.stub or {}) do
    if type(zone) ~= "string" then
      error("bad option 'stub' to 'new' (zone names as keys expected)", 0)
    end
    local name = zone:gsub("%.$", "")
    if name ~= "" and not core.name(name) then fail("stub: '%s' is no zone name", zone) end
    name = name == "" and "." or core.name(name) .. "."
    addresses = strings(addresses, "stub")
    if #addresses == 0 then fail("stub: the list of zone %s is empty", zone) end
    for _, address in ipairs(addresses) do
      local host = host_of(address)
      if not host then
        fail("stub: '%s' of zone %s is no address (such as 127.0.0.1@5300)", address, zone)
      end
      step("stub", name, address, ("stub '%s' of zone %s"):format(address, zone))
      near = near or is_local(host)
    end
    -- the zones that libunbound answers itself (test., localhost., private reverse ones) are
    -- the user's when he has a stub for them; "nodefault" would silently do nothing
    if name ~= "." then step("default", "local-zone:", name .. " transparent") end
  end

  local resolv_conf = options.resolv_conf
  if resolv_conf == nil and not (options.forward or options.stub or options.unbound_conf) then
    resolv_conf = "/etc/resolv.conf"
  end
  if resolv_conf then
    local text, reason = read_file(resolv_conf)
    if not text then fail("resolv_conf: cannot read it: %s", reason) end
    local bad
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
      local address = line:match "^%s*nameserver%s+(%S+)"
      if address then
        local host, scope = address:match "^([%x.:]*)(%%?[%w._-]*)"
        if core.address(host) then
          address = host .. scope
          step("forward", address, nil, ("resolv_conf '%s': nameserver '%s'"):format(resolv_conf, address))
          forwarders[#forwarders + 1] = address
          near = near or is_local(host)
        else -- one bad line is no reason to do without the others
          bad = address
          config.warnings[#config.warnings + 1] = one_line(
            ("resolv_conf: %s: nameserver '%s' is no address, and is left out"):format(resolv_conf, address))
        end
      end
    end
    if #forwarders == 0 and bad then
      fail("resolv_conf: %s: nameserver '%s' is no address, and there is no other "
        .. "(resolv_conf = false resolves from the root)", resolv_conf, bad)
    elseif #forwarders == 0 then
      fail("resolv_conf: %s names no nameserver (resolv_conf = false resolves from the root)",
        resolv_conf)
    end
  end

  if options.unbound_conf then
    local found = unbound_conf.scan(options.unbound_conf,
      options.trust_anchor_file ~= nil or options.trust_anchor ~= nil)
    for _, address in ipairs(found.forwarders) do forwarders[#forwarders + 1] = address end
    near = near or found.is_local
    config.conf_anchor, config.no_validator = found.anchor, found.no_validator
    if found.tls then check_tls("unbound_conf: " .. options.unbound_conf) end
    step("unbound_conf", options.unbound_conf, nil,
      ("unbound_conf '%s'"):format(options.unbound_conf))
    -- at the threshold it drops its cache, trust anchors and all
    step("default", "unwanted-reply-threshold:", "0")
  end
  -- libunbound must not be led to ask this machine, unless it was told to
  table.insert(config.steps, 1, { "default", "do-not-query-localhost:", near and "no" or "yes" })
  config.forwarders = #forwarders > 0 and table.concat(forwarders, ", ") or nil
end

local function add_anchors(config, options)
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
    file = common.first_existing(M.anchor_places)
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
    and not config.conf_anchor then
    fail("unbound_conf: %s holds no trust anchor: name one as trust_anchor_file, or say "
      .. "trust_anchor_file = false to go without DNSSEC", options.unbound_conf)
  end
  config.anchor_zone = config.anchor_zone or config.conf_anchor
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
      if (name == "tls-upstream" or name == "ssl-upstream") and value == "yes" then check_tls(what) end
      config.steps[#config.steps + 1] =
        { "option", name .. ":", value, ("options: '%s' = '%s'"):format(key, value) }
    end
  end
end

local bundles = {
  "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
}

-- DNS over TLS. The name after '#' is what the certificate is checked against: without a
-- libunbound that does so there is no connection.
local function add_tls(config, options)
  if not options.tls then return end
  local function step(...) config.steps[#config.steps + 1] = { ... } end
  if not options.forward then fail "tls: needs forward addresses with a name, 9.9.9.9@853#name" end
  for _, address in ipairs(strings(options.forward, "forward")) do
    if not address:find "#." then
      fail("tls: forward '%s' has no name to check the certificate against (address@853#name)",
        address)
    end
  end
  local bundle = options.tls_cert_bundle or common.first_existing(bundles)
  if not bundle then fail "tls: no bundle of certificates found, name it as tls_cert_bundle" end
  local text, reason = read_file(bundle)
  if not text then fail("tls_cert_bundle: cannot read it: %s", reason) end
  if not text:find "BEGIN CERTIFICATE" then
    fail("tls_cert_bundle: %s holds no certificate", bundle)
  end
  check_tls "tls"
  step("option", "tls-cert-bundle:", bundle, "tls: this libunbound does not know tls-cert-bundle")
  step("tls", nil, nil, "tls: this libunbound has no TLS")
end

local function build(options)
  local config = { steps = {}, warnings = {} }
  add_servers(config, options)
  add_anchors(config, options)
  add_options(config, options)
  add_tls(config, options)
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
  local ok, config = pcall(build, options)
  if not ok then
    if type(config) == "table" then return nil, config end
    error(one_line(tostring(config)), 3)
  end
  for _, step in ipairs(config.steps) do
    if step[4] then step[4] = one_line(step[4]) end
  end
  config.timeout = timeout
  config.max_pending = max_pending
  config.budget = budget
  config.idle = function() end
  return config
end

return M
