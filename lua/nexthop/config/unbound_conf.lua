--- An unbound.conf, looked through before libunbound reads it: what there is in it that libunbound ends
-- the process over, what turns validation off, and what nexthop has to know.
local anchors = require "nexthop.config.anchors"
local checks = require "nexthop.config.checks"
local core = require "nexthop.core"
local is_local = require("nexthop.mail.addresses").is_loopback

local M = {}

-- ---- values ------------------------------------------------------------

local modules = { validator = true, iterator = true, respip = true, dns64 = true }

--- Options over whose values libunbound ends the process: function(value, what), which raises.
M.crashes = {}

-- A module that is not compiled in, or is there twice, ends the process when the context is deleted.
M.crashes["module-config"] = function(value, what)
  local seen = {}
  for name in value:gmatch "%S+" do
    if not modules[name] or seen[name] then
      checks.fail("%s '%s': the module '%s' is not taken%s", what, value, name,
        seen[name] and " twice" or " (validator, iterator, respip and dns64 are)")
    end
    seen[name] = true
  end
end

-- So does an interface that is no address.
M.crashes["outgoing-interface"] = function(value, what)
  if not core.address((value:gsub("/%d+$", ""))) then
    checks.fail("%s '%s' is no address", what, value)
  end
end

--- Why nothing would be validated with these modules, or nil.
function M.no_validator(value, what)
  if value:find "validator.*iterator" or not value:find "%S" then return nil end
  return ("%s '%s' has no validator before the iterator: no trust anchor would be used"):format(what, value)
end

-- ---- the file ------------------------------------------------------------

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
for key in pairs(M.crashes) do conf_keys[key] = true end

-- The files that a path or a pattern means; without any, libunbound is to say what it thinks of that.
-- The directory of a pattern tells when there are others.
local function files_of(path, found)
  if not path:find "[*?%[{~]" then return { path } end
  found.files[#found.files + 1] = path:match "^(.*)/" or "."
  return core.glob(path)
end

-- What matters of an unbound.conf before libunbound reads it.
local function scan(path, found)
  if found.seen[path] then return found end
  found.seen[path] = true
  found.files[#found.files + 1] = path
  local text, reason = checks.read_file(path)
  if not text then checks.fail("unbound_conf: cannot read it: %s", reason) end
  local whole = each_setting(text, conf_keys, function(key, value)
    if key == "auto-trust-anchor-file" then
      checks.fail("unbound_conf: %s has an auto-trust-anchor-file, over which libunbound may end the "
        .. "process: use a configuration without that line%s", path,
        found.anchor_is_named and "" or ", and name the file as trust_anchor_file instead")
    elseif key == "trust-anchor" then
      local owner, bad = anchors.owner(value)
      if not owner then checks.fail("unbound_conf: %s: trust-anchor '%s' %s", path, value, bad) end
      found.anchor = found.anchor or owner
    elseif key == "trust-anchor-file" or key == "trusted-keys-file" then
      local of_bind = key == "trusted-keys-file"
      for _, file in ipairs(of_bind and files_of(value, found) or { value }) do
        found.files[#found.files + 1] = file
        local owner = anchors.check_file(file, ("unbound_conf: %s: %s"):format(path, key),
          of_bind and anchors.trusted_keys)
        found.anchor = found.anchor or owner
      end
    elseif key:find "upstream$" then
      found.tls = found.tls or value == "yes"
    elseif key == "forward-addr" or key == "stub-addr" then
      found.is_local = found.is_local or is_local(value:match "^[^@#]*")
      if key == "forward-addr" then found.forwarders[#found.forwarders + 1] = value end
    elseif M.crashes[key] then
      local what = ("unbound_conf: %s: %s"):format(path, key)
      M.crashes[key](value, what)
      if key == "module-config" then found.no_validator = M.no_validator(value, what) end
    else -- include
      for _, file in ipairs(files_of(value, found)) do scan(file, found) end
    end
  end)
  if not whole then
    checks.fail("unbound_conf: %s ends inside a quoted text, over which libunbound would end the process",
      path)
  end
  return found
end

--- Looks through a file and what it includes.
-- @param anchor_is_named is it said elsewhere what the trust anchor is, or that there is none?
-- @return { forwarders = list, is_local, anchor, tls, no_validator, files = list }: addresses of forwarders,
-- is one of them or of the stubs on this machine, the owner of the first trust anchor, is DNS over TLS asked
-- for, why nothing would be validated, all files that libunbound will read
function M.scan(path, anchor_is_named)
  return scan(path, { forwarders = {}, seen = {}, files = {}, anchor_is_named = anchor_is_named })
end

return M
