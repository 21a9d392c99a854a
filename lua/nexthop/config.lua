--- The options of nexthop.new, checked, and turned into the steps in which the C half configures
-- libunbound. Misuse (a wrong type, an unknown key) raises; what only shows when it is tried is
-- returned as nil and an error of code `config` that names the culprit.
local is_local = require("nexthop.addresses").is_loopback
local core = require "nexthop.core"

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

-- What an error quotes is on one line, whatever was given.
local function one_line(text)
  return (text:gsub("%c", function(c) return ("\\%03d"):format(c:byte()) end))
end

local function failure(format, ...)
  return setmetatable({ code = "config", message = one_line(format:format(...)), permanent = false },
    core.metatables.error)
end

-- Errors of code `config` travel as Lua errors inside this file only.
local function fail(format, ...)
  error(failure(format, ...), 0)
end

local function check_types(options)
  for key, value in pairs(options) do
    local want = types[key]
    if not want then
      error(("unknown option '%s' to 'new'"):format(tostring(key)), 4)
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
  for name in pairs(value) do
    if type(name) ~= "number" then
      error(("bad option '%s' to 'new' (string or list of strings expected, got a table with the key '%s')")
        :format(key, tostring(name)), 0)
    end
  end
  for i, v in ipairs(value) do
    if type(v) ~= "string" then
      error(("bad option '%s' to 'new' (entry %d is a %s, not a string)"):format(key, i, type(v)), 0)
    end
  end
  return value
end

local function number(options, key, default, min, max)
  local value = options[key]
  if value == nil then return default end
  if not (value >= min and value <= max) then
    error(("bad option '%s' to 'new' (%s to %s expected, got %s)"):format(key, min, max, value), 4)
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

local function read_file(path)
  local file, reason = io.open(path, "r")
  if not file then return nil, reason end
  local text, why = file:read "*a"
  file:close()
  return text, text == nil and (path .. ": " .. tostring(why)) or nil
end

-- ---- trust anchors ------------------------------------------------------------

-- What every validator can use (RFC 8624 3.1, 3.3). libunbound ignores an anchor of another kind without
-- a word, and then validates nothing: so no Ed448 (Debian's, on nettle, has none), and nothing of SHA-1
-- (RFC 9905; a build may be without).
local algorithms = { [8] = 1, [10] = 1, [13] = 1, [14] = 1, [15] = 1 }
local digest_bytes = { [2] = 32, [4] = 48 }
local key_letters = { [13] = 88, [14] = 128, [15] = 44 } -- of RSA keys: any number

-- The owner of an anchor. One that is no name (a byte-order mark before it) is above nothing, and then
-- nothing is validated. "@" is the origin of a file, the root.
local function owner_of(text)
  local name = (text == "." or text == "@") and "." or core.name(text, true)
  return name and name ~= "." and name .. "." or name
end

-- A DS or DNSKEY record in text: its owner if it can be an anchor, else nil and the reason.
local function anchor_owner(record)
  local fields = {}
  for field in record:gmatch "%S+" do fields[#fields + 1] = field end
  local at
  for i = 2, math.min(#fields, 5) do
    local f = fields[i]:upper()
    if f == "DS" or f == "DNSKEY" then at = i break end
    if f ~= "IN" and not f:find "^%d+[SMHDW]?$" then break end
  end
  if not at then return nil, "is no DS or DNSKEY record" end
  local a, b, c = tonumber(fields[at + 1]), tonumber(fields[at + 2]), tonumber(fields[at + 3])
  local data = table.concat(fields, "", at + 4)
  if not (a and b and c) or data == "" then return nil, "is cut short" end
  if fields[at]:upper() == "DS" then -- key tag, algorithm, digest type
    if not algorithms[b] then return nil, "is of an algorithm that cannot be used" end
    if not digest_bytes[c] then return nil, "has a digest type that cannot be used" end
    if data:find "%X" or #data ~= digest_bytes[c] * 2 then
      return nil, "has a digest of the wrong length"
    end
  else -- flags, protocol, algorithm
    if b ~= 3 then return nil, "has a protocol other than 3" end
    if not algorithms[c] then return nil, "is of an algorithm that cannot be used" end
    if math.floor(a / 256) % 2 == 0 then return nil, "is no zone key" end
    if math.floor(a / 128) % 2 == 1 then return nil, "is a revoked key" end
    if data:find "[^%w+/=]" or #data < 40 or #data % 4 ~= 0 or #data ~= (key_letters[c] or #data) then
      return nil, "has no valid key"
    end
  end
  local owner = owner_of(fields[1])
  if not owner then return nil, "has an owner that is no name" end
  return owner
end

-- The records of a text: comments cut, parentheses joined.
local function records_of(text)
  local records, depth, current = {}, 0, ""
  for whole in (text .. "\n"):gmatch "([^\n]*)\n" do
    local line = whole:gsub(";[^\n]*", ""):gsub("\r", "")
    for c in line:gmatch "[()]" do depth = depth + (c == "(" and 1 or -1) end
    current = current .. " " .. line:gsub("[()]", " ")
    if depth <= 0 then
      if current:find "%S" and not current:find "^%s*%$" then
        records[#records + 1] = current:match "^%s*(.-)%s*$"
      end
      current, depth = "", 0
    end
  end
  return records
end

-- A BIND configuration without its comments, of which there are three kinds, none of them in a string.
local function without_comments(text)
  local kept, at = {}, 1
  while true do
    local from = text:find('["#/]', at)
    kept[#kept + 1] = text:sub(at, (from or #text + 1) - 1)
    if not from then return table.concat(kept) end
    local first, two = text:sub(from, from), text:sub(from, from + 1)
    if first == '"' then
      at = (text:find('"', from + 1, true) or #text) + 1
      kept[#kept + 1] = text:sub(from, at - 1)
    elseif two == "/*" then
      at = (select(2, text:find("*/", from + 2, true)) or #text) + 1
    elseif first == "#" or two == "//" then
      at = text:find("\n", from, true) or #text + 1
    else
      kept[#kept + 1], at = first, from + 1
    end
  end
end

local key_clauses = { ["trust-anchors"] = true, ["managed-keys"] = true, ["trusted-keys"] = true }
local trusted_keys = { ["trusted-keys"] = true } -- all that libunbound knows

-- The keys of a BIND configuration as records; nil when it has no clause with keys.
local function bind_records(text, wanted)
  local records
  for clause, body in without_comments(text):gmatch "([%w-]+)%s*(%b{})" do
    if wanted[clause] then
      records = records or {}
      for entry in body:sub(2, -2):gmatch "[^;]+" do
        local owner, rest = entry:gsub('"', " "):match "^%s*(%S+)%s+(.*)$"
        local kind = rest and rest:match "^%a+%-(%a+)" -- initial-ds, static-key, ...
        if kind then rest = rest:gsub("^%S+", "") end
        if rest then
          records[#records + 1] = owner .. (kind == "ds" and " IN DS " or " IN DNSKEY ")
            .. rest:gsub("%s+", " ")
        end
      end
    end
  end
  return records
end

-- libunbound takes an empty or a broken file and then validates nothing: read it ourselves. Returns the
-- owner of the first anchor; of a BIND configuration, which libunbound does not read as one, those that
-- can be used, too.
local function check_anchor_file(path, what, wanted)
  local text, reason = read_file(path)
  if not text then fail("%s: cannot read it: %s", what, reason) end
  local owner, why, usable = nil, nil, {}
  local of_bind = wanted and bind_records(text, wanted)
  for _, record in ipairs(of_bind or wanted ~= trusted_keys and records_of(text) or {}) do
    local name, bad = anchor_owner(record)
    owner, why = owner or name, why or bad
    usable[#usable + 1] = name and record
  end
  if not owner then
    fail("%s: %s holds no usable trust anchor%s", what, path,
      why and " (its first record " .. why .. ")" or "")
  end
  return owner, of_bind and usable
end

local function first_existing(paths)
  for _, path in ipairs(paths) do
    local file = io.open(path, "r")
    if file then
      file:close()
      return path
    end
  end
end

-- ---- what libunbound crashes over ------------------------------------------------

local modules = { validator = true, iterator = true, respip = true, dns64 = true }

local crashes = {}

-- A module that is not compiled in, or is there twice, ends the process when the context is deleted.
crashes["module-config"] = function(value, what)
  local seen = {}
  for name in value:gmatch "%S+" do
    if not modules[name] or seen[name] then
      fail("%s '%s': the module '%s' is not taken%s", what, value, name,
        seen[name] and " twice" or " (validator, iterator, respip and dns64 are)")
    end
    seen[name] = true
  end
end

-- Why nothing would be validated with these modules, or nil.
local function no_validator(value, what)
  if value:find "validator.*iterator" or not value:find "%S" then return nil end
  return ("%s '%s' has no validator before the iterator: no trust anchor would be used"):format(what, value)
end

-- So does an interface that is no address.
crashes["outgoing-interface"] = function(value, what)
  if not core.address((value:gsub("/%d+$", ""))) then
    fail("%s '%s' is no address", what, value)
  end
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

-- ---- unbound.conf ------------------------------------------------------------

-- The words of an unbound.conf, as libunbound's lexer has them: several keys on a line, a key and its
-- value on two. Calls on_key(key, value) for each key that `wanted` knows. False: the file ends inside a
-- quoted text.
local function each_setting(text, wanted, on_key)
  text = text:gsub("\\.", "\1\1") -- an escaped quote ends nothing
  local at, key = 1, nil
  while true do
    at = text:match("^%s*()", at)
    local first, word = text:sub(at, at), nil
    if first == "" then return true end
    if first == "#" then
      at = text:match("^[^\n]*()", at)
    elseif first == '"' or first == "'" then
      word, at = text:match("^([^\r\n" .. first .. "]*)()", at + 1)
      if at > #text then return false end
      if text:sub(at, at) == first then at = at + 1 end
    else
      word, at = text:match("^([^%s\"']+)()", at)
    end
    if word and key then
      on_key(key, word)
      key = nil
    elseif word and first ~= '"' and first ~= "'" then
      local name, rest = word:match "^([%w-]+):(.*)$"
      key = wanted[name] and name
      if name then at = at - #rest end
    end
  end
end

local conf_keys = {
  ["auto-trust-anchor-file"] = true, ["trust-anchor"] = true, ["trust-anchor-file"] = true,
  ["trusted-keys-file"] = true, ["include"] = true, ["include-toplevel"] = true,
  ["forward-addr"] = true, ["stub-addr"] = true,
}
for _, word in ipairs { "tls-upstream", "ssl-upstream" } do
  for _, prefix in ipairs { "", "forward-", "stub-" } do conf_keys[prefix .. word] = true end
end
for key in pairs(crashes) do conf_keys[key] = true end

-- The files that a path or a pattern means; without any, libunbound is to say what it thinks of that.
local function files_of(path)
  return path:find "[*?%[{~]" and core.glob(path) or { path }
end

-- What matters of an unbound.conf before libunbound reads it.
local function scan_unbound_conf(path, found)
  if found.seen[path] then return found end
  found.seen[path] = true
  local text, reason = read_file(path)
  if not text then fail("unbound_conf: cannot read it: %s", reason) end
  local whole = each_setting(text, conf_keys, function(key, value)
    if key == "auto-trust-anchor-file" then
      fail("unbound_conf: %s has an auto-trust-anchor-file, over which libunbound may end the "
        .. "process: name the file as trust_anchor_file instead", path)
    elseif key == "trust-anchor" then
      local owner, bad = anchor_owner(value)
      if not owner then fail("unbound_conf: %s: trust-anchor '%s' %s", path, value, bad) end
      found.anchor = found.anchor or owner
    elseif key == "trust-anchor-file" or key == "trusted-keys-file" then
      local of_bind = key == "trusted-keys-file"
      for _, file in ipairs(of_bind and files_of(value) or { value }) do
        local owner = check_anchor_file(file, ("unbound_conf: %s: %s"):format(path, key),
          of_bind and trusted_keys)
        found.anchor = found.anchor or owner
      end
    elseif key:find "upstream$" then
      found.tls = found.tls or value == "yes"
    elseif key == "forward-addr" or key == "stub-addr" then
      found.is_local = found.is_local or is_local(value:match "^[^@#]*")
      if key == "forward-addr" then found.forwarders[#found.forwarders + 1] = value end
    elseif crashes[key] then
      local what = ("unbound_conf: %s: %s"):format(path, key)
      crashes[key](value, what)
      if key == "module-config" then found.no_validator = no_validator(value, what) end
    else -- include
      for _, file in ipairs(files_of(value)) do scan_unbound_conf(file, found) end
    end
  end)
  if not whole then
    fail("unbound_conf: %s ends inside a quoted text, over which libunbound would end the process", path)
  end
  return found
end

-- ---- the parts ------------------------------------------------------------

-- A forwarder answers what it has in a millisecond, and the rest when it has found it. libunbound
-- goes by the former: it would give up after 0.75 s, and take the forwarder for dead, and fail all
-- names at once for a minute, after two names whose servers are dead. So: ask again after 1 and 2
-- seconds, and back off further before it counts as down; what is down is asked again after a
-- second, unless there are others to ask.
local function add_patience(config, n_forwarders)
  local function first(name, value) table.insert(config.steps, 1, { "default", name, value }) end
  first("infra-cache-min-rtt:", "1000")
  first("infra-cache-max-rtt:", "120000")
  if n_forwarders == 1 then first("infra-host-ttl:", "1") end
end

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
    if name ~= "" and not core.name(name, true) then fail("stub: '%s' is no zone name", zone) end
    name = name == "" and "." or core.name(name, true) .. "."
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
    for line in (text .. "\n"):gmatch "([^\n]*)\n" do
      local address = line:match "^%s*nameserver%s+(%S+)"
      if address then
        local host, scope = address:match "^([%x.:]*)(%%?[%w._-]*)"
        if not core.address(host) then
          fail("resolv_conf: %s: nameserver '%s' is no address", resolv_conf, address)
        end
        address = host .. scope
        step("forward", address, nil, ("resolv_conf '%s': nameserver '%s'"):format(resolv_conf, address))
        forwarders[#forwarders + 1] = address
        near = near or is_local(host)
      end
    end
    if #forwarders == 0 then
      fail("resolv_conf: %s names no nameserver (resolv_conf = false resolves from the root)",
        resolv_conf)
    end
  end

  if options.unbound_conf then
    local found = scan_unbound_conf(options.unbound_conf, { forwarders = forwarders, seen = {} })
    near = near or found.is_local
    config.conf_anchor, config.no_validator = found.anchor, found.no_validator
    if found.tls then check_tls("unbound_conf: " .. options.unbound_conf) end
    step("unbound_conf", options.unbound_conf, nil,
      ("unbound_conf '%s'"):format(options.unbound_conf))
    -- at the threshold it drops its cache, trust anchors and all
    step("default", "unwanted-reply-threshold:", "0")
  end
  if #forwarders > 0 then add_patience(config, #forwarders) end
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
      local records = records_of(text)
      for _, record in ipairs(#records > 0 and records or { text }) do
        local owner, reason = anchor_owner(record)
        if not owner then fail("trust_anchor: '%s' %s", record, reason) end
        step("anchor", record, nil, ("trust_anchor '%s'"):format(record))
        config.anchor_zone = config.anchor_zone or owner
      end
    end
    if #list == 0 then fail "trust_anchor: the list is empty" end
  end
  if file == nil and not options.trust_anchor and not options.unbound_conf then
    file = first_existing(M.anchor_places)
    if not file then
      fail("no trust anchor found: install one (Debian: dns-root-data) or name it as "
        .. "trust_anchor_file; looked at %s", table.concat(M.anchor_places, ", "))
    end
  end
  if file then
    local owner, records = check_anchor_file(file, "trust_anchor_file", key_clauses)
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
      if crashes[name] then crashes[name](value, what) end
      if name == "module-config" then config.no_validator = no_validator(value, what) end
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
  local bundle = options.tls_cert_bundle or first_existing(bundles)
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
  local config = { steps = {} }
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
  local timeout = number(options, "timeout", 30, 0.001, 86400)
  local max_pending = number(options, "max_pending", 1000, 1, 1e6)
  local budget = number(options, "budget", 0.005, 0, 3600)
  local ok, config = pcall(build, options)
  if not ok then
    if type(config) == "table" then return nil, config end
    error(config, 3)
  end
  for _, step in ipairs(config.steps) do
    if step[4] then step[4] = one_line(step[4]) end
  end
  config.timeout = timeout
  config.max_pending = math.floor(max_pending)
  config.budget = budget
  config.idle = function() end
  return config
end

return M
