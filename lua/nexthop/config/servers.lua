--- Which servers libunbound asks: forwarders, stub zones, a resolv.conf, an unbound.conf.
local checks = require "nexthop.config.checks"
local core = require "nexthop.core"
local defaults = require "nexthop.config.defaults"
local errors = require "nexthop.errors"
local is_local = require("nexthop.mail.addresses").is_loopback
local tls = require "nexthop.config.tls"
local unbound_conf = require "nexthop.config.unbound_conf"

local fail, strings = checks.fail, checks.strings

local M = {}

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

local function add(servers, ...)
  servers.steps[#servers.steps + 1] = { ... }
end

local function add_forwarder(servers, address, host, label)
  add(servers, "forward", address, nil, label)
  servers.forwarders[#servers.forwarders + 1] = address
  servers.on_this_machine = servers.on_this_machine or is_local(host)
end

local function add_forward(servers, value)
  local list = strings(value, "forward")
  for _, address in ipairs(list) do
    local host = host_of(address)
    if not host then fail("forward: '%s' is no address (such as 127.0.0.1@5353)", address) end
    add_forwarder(servers, address, host, ("forward '%s'"):format(address))
  end
  if #list == 0 then fail "forward: the list is empty" end
end

local function add_stub(servers, zone, addresses)
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
    add(servers, "stub", name, address, ("stub '%s' of zone %s"):format(address, zone))
    servers.on_this_machine = servers.on_this_machine or is_local(host)
  end
  if name ~= "." then servers.steps[#servers.steps + 1] = defaults.of_stub(name) end
end

local function add_resolv_conf(servers, path)
  local text, reason = checks.read_file(path)
  if not text then fail("resolv_conf: cannot read it: %s", reason) end
  local bad
  for line in (text .. "\n"):gmatch "([^\n]*)\n" do
    local address = line:match "^%s*nameserver%s+(%S+)"
    if address then
      local host, scope = address:match "^([%x.:]*)(%%?[%w._-]*)"
      if core.address(host) then
        address = host .. scope
        add_forwarder(servers, address, host, ("resolv_conf '%s': nameserver '%s'"):format(path, address))
      else -- one bad line is no reason to do without the others
        bad = address
        servers.warnings[#servers.warnings + 1] = errors.one_line(
          ("resolv_conf: %s: nameserver '%s' is no address, and is left out"):format(path, address))
      end
    end
  end
  if #servers.forwarders > 0 then return end
  if bad then
    fail("resolv_conf: %s: nameserver '%s' is no address, and there is no other "
      .. "(resolv_conf = false resolves from the root)", path, bad)
  end
  fail("resolv_conf: %s names no nameserver (resolv_conf = false resolves from the root)", path)
end

local function add_unbound_conf(servers, path, anchor_is_named)
  local found = unbound_conf.scan(path, anchor_is_named)
  for _, address in ipairs(found.forwarders) do
    servers.forwarders[#servers.forwarders + 1] = address
  end
  servers.on_this_machine = servers.on_this_machine or found.is_local
  servers.conf_anchor, servers.no_validator = found.anchor, found.no_validator
  if found.tls then tls.check("unbound_conf: " .. path) end
  add(servers, "unbound_conf", path, nil, ("unbound_conf '%s'"):format(path))
  for _, file in ipairs(found.files) do add(servers, "file", file) end
  servers.steps[#servers.steps + 1] = defaults.after_unbound_conf()
end

--- Reads the options about servers.
-- @return { steps, forwarders = list of addresses, on_this_machine = is one of the servers here?, warnings,
-- and of an unbound.conf: conf_anchor, no_validator; see unbound_conf.scan }
function M.read(options)
  local servers = { steps = {}, forwarders = {}, on_this_machine = false, warnings = {} }
  if options.forward then add_forward(servers, options.forward) end
  for zone, addresses in pairs(options.stub or {}) do add_stub(servers, zone, addresses) end
  local resolv_conf = options.resolv_conf
  if resolv_conf == nil and not (options.forward or options.stub or options.unbound_conf) then
    resolv_conf = "/etc/resolv.conf"
  end
  if resolv_conf then add_resolv_conf(servers, resolv_conf) end
  if options.unbound_conf then
    add_unbound_conf(servers, options.unbound_conf,
      options.trust_anchor_file ~= nil or options.trust_anchor ~= nil)
  end
  return servers
end

return M
