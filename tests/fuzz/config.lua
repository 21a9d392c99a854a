-- luacheck: max line length 140
-- Fuzzes nexthop.new: options, trust anchor files and unbound.conf as an administrator might get them
-- wrong. Whatever comes: misuse raises with a message that names the option, anything else is an error
-- of code `config` with one line, and where an anchor for the root was given a resolver that comes out
-- of it validates - a signed domain of the lab is never insecure. libunbound must not end the process:
-- the input of which it did is in build/fuzz/config-last.
package.path = "./?.lua;" .. package.path
local fuzz = require "tests.fuzz.mutate"
local files = require "tests.support.files"
local lab = require("tests.lab.lab").shared()
local nexthop = require "nexthop"
local settings_of = require "nexthop.programs.filter.settings"
local server = require "nexthop.server"
local testos = require "testos"

local folder = files.folder()

local function file(name, text)
  return files.write(folder .. "/" .. name, text)
end

local anchor
do
  local f = assert(io.open(lab.anchor_file))
  anchor = f:read "*a"
  f:close()
end
local ds = anchor:match "[^\n]*DS[^\n]*"

-- A resolver must know that this name is secure, or else bogus: the zones above are signed, too.
local function check_validates(resolver)
  local result, err = resolver:gather_destinations("dane.example", { deadline = 5 })
  if result and not result.expanded_next_hop_authentic then
    local trace = {}
    for i, step in ipairs(assert(resolver:plan("dane.example", { trace = true })).trace) do
      trace[i] = ("%s %s %s"):format(step.name, step.type, step.security)
    end
    error("made with an anchor for the root, and does not validate: " .. table.concat(trace, ", "))
  end
  if err and not err.code then error("no error of ours: " .. tostring(err)) end
end

local function check_error(err)
  if type(err) ~= "table" or err.code ~= "config" or type(err.message) ~= "string" or err.permanent ~= false
    or err.message:find "[%z\n]" then
    error(("no error of ours: %s"):format(tostring(err)))
  end
end

-- asked: the administrator wants no anchor, or one elsewhere
local function try(options, asked)
  local ok, resolver, err = pcall(nexthop.new, options)
  if not ok then
    if not tostring(resolver):find "^[^\n]*unknown option [^\n]*$"
      and not tostring(resolver):find "^[^\n]*bad option [^\n]*$" then
      error("raises: " .. tostring(resolver))
    end
  elseif not resolver then
    check_error(err)
  else
    if not asked then check_validates(resolver) end
    resolver:close()
  end
end

-- ---- anchors -------------------------------------------------------------------

local anchor_words = {
  ".", "IN", "DS", "DNSKEY", "CH", "ds", "\t", " ", ";", "//", "#", "(", ")", "\n", "\r\n", '"',
  "$TTL 3600", "$ORIGIN example.", "$INCLUDE /etc/passwd", "3600", "1h", "0", "-1", "0x8", "8.0", "1e1",
  "65536", "99999999999",
  "257 3 8", "256 3 13", "385 3 8", "8 2", "16 2", "15 2", "13 4", "12 3", "example.", "\0", "\255", "\\", "@",
  "trust-anchors {", "};", "initial-key", "AwEAAa==", ". IN DS 1 8 2 00",
}
local dnskeys = {
  -- the key of the root of 2017, and keys that are too short or of what is not there
  ". IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq7HrxRixHlFlExOLAJr5emLvN7SWXg"
    .. "nLh4+B5xQlNVz8Og8kvArMtNROxVQuCaSnIDdD5LKyWbRd2n9WGe2R8PzgCmr3EgVLrjyBxWezF0jLHwVN8efS3rCj/EWgvIWgb9tarpV"
    .. "UDK/b58Da+sqqls3eNbuv7pr+eoZG+SrDK6nWeL3c6H5Apxz7LjVc1uTIdsIXxuOLYA4/ilBmSVIzuDWfdRUfhHdY6+cn8HFRm+2hM8AnX"
    .. "GXws9555KrUB5qihylGa8subX2Nn6UwNR1AkUTV74bU=",
  ". IN DNSKEY 257 3 16 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq",
  ". IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3+/4RgWOq",
  ". IN DNSKEY 257 3 15 l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=",
  ". IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==",
}

local function anchor_text(random)
  local start = random:pick { anchor, ds, ds, ds .. "\n" .. ds, random:pick(dnskeys) }
  return random:chance(4) and start or random:mutate(start, anchor_words)
end

-- What is certain of a text's records: an owner other than the root makes it another zone's business.
local function is_of_root(text)
  return not text:lower():find "[%w_*\\\128-\255@%-][%s\"]*%.?%s+[%w%s]*d[ns]"
    and not text:find "^%s*%$" and not text:find "\n%s*%$"
end

local function try_anchors(random)
  local text = anchor_text(random)
  fuzz.note(text)
  if random:chance(2) then
    try({ stub = lab:stub(), trust_anchor_file = file("anchor", text) }, not is_of_root(text))
  else
    try({ stub = lab:stub(), trust_anchor = text }, not is_of_root(text))
  end
end

-- ---- unbound.conf ----------------------------------------------------------------

local conf_lines = {
  "server:", "  verbosity: 0", "  cache-max-ttl: 3600", "  do-not-query-localhost: no", "  module-config: \"validator iterator\"",
  "  module-config: \"python iterator\"", "  outgoing-interface: 127.0.0.1", "  outgoing-interface: eth0",
  "  harden-glue: yes", "  prefetch: yes", "  val-clean-additional: yes", "  edns-buffer-size: 1232",
  "  trust-anchor: \". IN DS 1 8 2 00\"", "  trust-anchor-file: \"/nonexistent\"", "  trust-anchor-file: \"\"",
  "  auto-trust-anchor-file: \"/nonexistent/root.key\"", "  tls-upstream: yes", "  ssl-upstream: no",
  "  trusted-keys-file: \"/nonexistent*\"", "forward-zone:", "  name: \"forward.example\"", "  forward-addr: 127.0.0.1@9",
  "stub-zone:", "  name: \"stub.example\"", "  stub-addr: 127.0.0.1@9", "  local-zone: \"local.example\" static",
  "  num-threads: 4", "  outgoing-range: 0", "  msg-cache-size: 4m", "  target-fetch-policy: \"0 0 0 0 0\"", "remote-control:",
  "  control-enable: no", "python:", "dynlib:", "cachedb:", "view:", "  name: v", "# a comment", "",
  "  infra-host-ttl: x", "server: verbosity: 0", "auth-zone:", "  name: \"auth.example\"", "rpz:",
}
local conf_words = {
  ":", "\"", "'", "#", "\n", " ", "\t", "\0", "yes", "no", "server:", "trust-anchor:", "-1", "99999999999", "\255",
  "verbosity:", "(", "\\", "forward-zone:", "name:", "..", "127.0.0.1@", "::1",
}

-- Where it says so itself, it wants no validation.
local function wants_none(text)
  return text:find "insecure" or text:find "module%-config" or text:find "val%-" or text:find "include"
    or text:find "clause" or text:find "view" or text:find "local%-" or text:find "auth%-zone" or text:find "root%-"
    or text:find "permissive" or text:find "ignore%-cd" or text:find "zone:%s*name"
end

local function try_conf(random)
  local lines = { "server:" }
  for i = 2, random:number(8) do lines[i] = random:pick(conf_lines) end
  local with = random:number(4)
  if with == 1 then lines[#lines + 1] = ("server: trust-anchor: %q"):format(ds) end
  if with == 2 then lines[#lines + 1] = ("server: trust-anchor-file: %q"):format(lab.anchor_file) end
  local text = table.concat(lines, "\n") .. "\n"
  if random:chance(2) then text = random:mutate(text, conf_words) end
  fuzz.note(text)
  local options = { stub = lab:stub(), unbound_conf = file("unbound.conf", text) }
  if with == 3 then options.trust_anchor_file = lab.anchor_file end
  -- in a process of its own: libunbound's parser may be of no use after an error (rule 15)
  local pid = testos.fork()
  if pid == 0 then
    local ok, err = pcall(try, options, wants_none(text))
    if not ok then print(tostring(err)) end
    io.stdout:flush()
    testos.exit(ok and 0 or 1)
  end
  local how, which = testos.wait(pid)
  if how ~= "exit" or which ~= 0 then error(("the child ended: %s %d"):format(how, which)) end
end

-- ---- options -------------------------------------------------------------------

local values = {
  true, false, 0, 1, -1, 0.5, 1e300, -math.huge, math.huge, 0 / 0, "", "x", "127.0.0.1", "127.0.0.1@9", "::1@53",
  "127.0.0.1@853#dns.example", "fe80::1%lo", "\0", ("x"):rep(100000), "/nonexistent", "/dev/null", "/", ".",
  {}, { "127.0.0.1" }, { 1 }, { "a", "b" }, { ["."] = "127.0.0.1@9" }, { ["x.example."] = {} }, { [1] = {} },
  { ["\0"] = "x" }, { ["a..b"] = "127.0.0.1" }, { verbosity = "1" }, { ["num-threads"] = "-1" }, print,
  { ["module-config"] = "x" }, { ["trust-anchor"] = "x" }, { ["no-such-option:"] = "1" }, { ["cache-max-ttl"] = 3 },
  { ["outgoing-interface"] = "x" }, { ["val-override-date"] = "x" }, { ["edns-buffer-size"] = "x" },
  { ["target-fetch-policy"] = "x" }, { ["private-address"] = "x" }, { ["access-control"] = "x" },
  { ["tls-upstream"] = "yes" }, { ["local-zone"] = { "a b", "c transparent" } }, { ["a\nb"] = "c" },
}
local keys = {
  "forward", "resolv_conf", "stub", "trust_anchor_file", "trust_anchor", "unbound_conf", "options", "timeout",
  "max_pending", "budget", "tls", "tls_cert_bundle", "nonsense", 1,
}

local function shown(options)
  local parts = {}
  for key, value in pairs(options) do
    if type(value) == "table" then value = "{" .. shown(value) .. "}" end
    parts[#parts + 1] = tostring(key) .. " = " .. tostring(value):sub(1, 200)
  end
  return table.concat(parts, ", ")
end

local function try_options(random)
  local options = { stub = lab:stub(), trust_anchor_file = lab.anchor_file }
  for _ = 1, random:number(2) do options[random:pick(keys)] = random:pick(values) end
  fuzz.note(shown(options))
  local own = type(options.options) == "table" and options.options or {}
  try(options, options.trust_anchor_file == false or options.unbound_conf ~= nil or options.forward ~= nil
    or options.resolv_conf ~= nil or own["val-override-date"] or type(options.stub) ~= "table"
    or not options.stub["."])
end

-- The programs' own settings: a message, or a table that is whole.
local function try_settings(random)
  local given = {}
  local names = { "resolver", "deadline", "sender", "recipient", "exclude", "policy", "nonsense", 1 }
  for _ = 1, random:number(3) do
    local value = random:pick(values)
    if random:chance(3) then
      value = { [random:pick { "null_mx", "dane", "ok", "failure", 1, "x" }] = random:pick(values) }
    end
    if random:chance(5) then value = { random:pick(values), random:pick(values) } end
    given[random:pick(names)] = value
  end
  fuzz.note(shown(given))
  local settings, reason = settings_of.check(given)
  if not settings and (type(reason) ~= "string" or reason == "") then error "the filter's check gives no reason" end
  if settings then
    for _, role in ipairs { "sender", "recipient" } do
      for _, action in pairs(settings[role]) do
        if not settings_of.is_action(action) then error("taken as an action: " .. tostring(action)) end
      end
    end
    local deadline = settings.deadline
    if type(deadline) ~= "number" or deadline ~= deadline or deadline <= 0 then error "no deadline" end
    settings.exclude "example.org"
  end
  local checked, err = server.check(given)
  if not checked then check_error(err) end
end

fuzz.run("config", function(random)
  local kind = random:number(8)
  if kind <= 3 then
    try_anchors(random)
  elseif kind <= 5 then
    try_conf(random)
  elseif kind <= 7 then
    try_options(random)
  else
    try_settings(random)
  end
end)
files.remove()
