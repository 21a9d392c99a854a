-- What the specs of verify share: hosts in the lab's DNS with scripted mail servers behind them.
--
--   local verifying = require "tests.support.verifying"
--   local world = verifying.world("vdane.example", 31)
--   world:host("good", { tlsa = { "3 1 1 ..." }, server = { certificates = { leaf } } })
--   setup(function() world:start() end)
--   teardown(function() world:stop() end)
--   local report = world:verify("good")
--
-- A host LABEL is LABEL.ZONE with an address for each server, and mx-LABEL.ZONE is a mail domain that
-- has it as its MX. Fields: tlsa (list of texts of TLSA records of port 25), server or servers (see
-- mail_server.lua), ips (addresses where nothing listens, after those of the servers), text (more
-- records).
local assert = require "luassert"
local files = require "tests.support.files"
local mail_server = require "tests.support.mail_server"
local support = require "tests.support"
local lab = support.lab

local verifying = {}

local World = {}
World.__index = World

--- A world whose servers have addresses 127.NETWORK.0.1 and so on; each spec has a number of its own.
function verifying.world(zone, network)
  return setmetatable({ zone = zone, network = network, hosts = {}, lines = {}, count = 0 }, World)
end

--- An address that no host has yet.
function World:address()
  self.count = self.count + 1
  return ("127.%d.%d.%d"):format(self.network, math.floor(self.count / 250), self.count % 250 + 1)
end

--- More records of the zone.
function World:records(text)
  self.lines[#self.lines + 1] = text
end

--- Adds a host; call this before start(). Returns its name.
function World:host(label, host)
  host.servers = host.servers or { host.server }
  host.addresses = {}
  for index = 1, #host.servers do host.addresses[index] = self:address() end
  for _, ip in ipairs(host.ips or {}) do table.insert(host.addresses, ip) end
  for _, address in ipairs(host.addresses) do
    self:records(("%s %s %s"):format(label, address:find ":" and "AAAA" or "A", address))
  end
  for _, record in ipairs(host.tlsa or {}) do self:records(("_25._tcp.%s TLSA %s"):format(label, record)) end
  self:records(("mx-%s MX 10 %s"):format(label, label))
  if host.text then self:records(host.text) end
  host.name = label .. "." .. self.zone
  self.hosts[label] = host
  return host.name
end

--- Makes the zone, and starts the servers: host.listening is the list of their objects.
function World:start()
  lab:clear()
  lab:add_zones { { name = self.zone, text = table.concat(self.lines, "\n") .. "\n" } }
  self.servers = mail_server.start()
  for _, host in pairs(self.hosts) do
    host.listening = {}
    for index, server in ipairs(host.servers) do
      host.listening[index] = self.servers:host(host.addresses[index], server)
    end
  end
end

function World:stop()
  if self.servers then self.servers:stop() end
  lab:clear()
  files.remove()
end

--- Options of verify with which our servers are found.
-- @param extra more of them; connect_port = false leaves that one out
function World:options(extra)
  local options = { connect_port = self.servers.port, step = 20 * support.slow, helo = "client.test" }
  for key, value in pairs(extra or {}) do options[key] = value end
  options.connect_port = options.connect_port or nil
  return options
end

--- Verifies a host by its label, or any other domain that has a dot or a bracket.
-- @param resolver one of this test (default: a new one)
-- @return what verify returns
function World:verify(label, options, resolver)
  local domain = label:find "[.%[]" and not self.hosts[label] and label or label .. "." .. self.zone
  return (resolver or support.resolver()):verify(domain, self:options(options))
end

--- Verifies a host that has one server.
-- @return its connection, its entry in report.hosts, the report
function World:connection(label, options, resolver)
  local report = assert(self:verify(label, options, resolver))
  assert.equal(1, #report.hosts)
  assert.equal(1, #report.hosts[1].connections)
  return report.hosts[1].connections[1], report.hosts[1], report
end

--- busted runs the body of a nested describe when the setup around it has run, and then it is too late for
-- hosts. These are an `it` and a `group` in place of it: group(title, body) runs its body at once.
-- @param it busted's
function verifying.grouped(it)
  local prefix = ""
  local function inner(title, check) it(prefix .. title, check) end
  local function group(title, body)
    prefix = title .. " "
    body()
    prefix = ""
  end
  return inner, group
end

--- Asserts that a connection is ok, with DANE when there are records.
function verifying.good(connection, dane)
  assert.same({ ok = true, dane = dane },
    { ok = connection.ok, result = connection.result, stage = connection.result and connection.stage,
      message = connection.message, dane = connection.dane })
end

--- Asserts that a connection has failed with this result, at this stage.
function verifying.bad(connection, result, stage)
  assert.same({ ok = false, result = result, stage = stage },
    { ok = connection.ok, result = connection.result, stage = connection.stage })
  assert.is_string(connection.message)
  assert.is_nil(connection.message:find "%c", connection.message)
  support.contains(connection.message, connection.ip)
end

--- Asserts that no client has ever said anything but EHLO, STARTTLS and QUIT, to any of the hosts.
-- @return how many commands there were
function World:polite()
  local count = 0
  for label, host in pairs(self.hosts) do
    for _, server in ipairs(host.listening) do
      for _, command in ipairs(server:texts "command") do
        count = count + 1
        local known = command:match "^EHLO [%w.%[%]:-]+$" or command == "STARTTLS" or command == "QUIT"
        assert(known, ("%s was told: %q"):format(label, command))
      end
      assert.equal(0, server:count "early", label)
    end
  end
  return count
end

return verifying
