-- What the specs of outgoing mail share: a network of this process's own, in which smtpd relays to mail
-- servers at port 25, and asks the lab at port 53.
--
--   local relaying = require "tests.integration.relaying"    -- before anything that wants the shared lab
--   relaying.need(pending)                                   -- for before_each: may we have such a network?
--   relaying.start()                                         -- for setup: the zone and the servers
--   local host = relaying.host("hides", "plain")             -- what is at mx.hides.relay.example now
--   server:deliver("me@mx.test", "you@hides.relay.example")
--   host:wait("message")
local labs = require "tests.lab.lab"

-- The lab must be in the new network, and all that the spec loads later must find it.
local has_network, why = require("testos").own_network()
local lab = has_network and labs.start_shared() or labs.shared()

local ca = require "tests.support.ca"
local filter = require "tests.support.filter"
local mail_server = require "tests.support.mail_server"

local M = { lab = lab, has_network = has_network, resolv_conf = "nameserver 127.0.0.1\n" }

local addresses = {
  hides = "127.41.0.1", good = "127.41.0.2", plain = "127.41.0.3", failing = "127.41.0.4",
}

M.zone = { name = "relay.example", text = [[
hides           MX 10 mx.hides
mx.hides        A 127.41.0.1
_25._tcp.mx.hides TLSA 3 1 1 ${server.spki.sha256}
good            MX 10 mx.good
mx.good         A 127.41.0.2
_25._tcp.mx.good TLSA 3 1 1 ${server.spki.sha256}
plain           MX 10 mx.plain
mx.plain        A 127.41.0.3
failing         MX 10 mx.failing
mx.failing      A 127.41.0.4
_25._tcp.mx.failing TLSA 3 1 1 ${server.spki.sha256}
silent          MX 10 mx.good
]] }

--- For before_each: pending() where there is no network for us.
function M.need(pending)
  if not has_network then pending("no network of its own: " .. tostring(why)) end
end

function M.start()
  if not has_network then return end
  filter.prepare()
  lab:add_zones { M.zone }
  lab:listen("127.0.0.1", { port = 53, forward = true })
  M.servers = mail_server.start()
  M.leaf = ca.leaf { name = "relay", names = { "mx.good.relay.example" } }
end

function M.stop()
  if M.servers then M.servers:stop() end
  M.servers = nil
end

--- Puts a server at the address of a domain's host, in the place of the one before.
-- @param mode "tls", "plain" or "broken", see tests.support.mail_server
function M.host(name, mode)
  return M.servers:host(addresses[name], { takes_mail = mode, certificates = { M.leaf } }, 25)
end

--- The backend of the table, under the Lua that runs this.
M.backend = type(rawget(_G, "jit")) == "table" and "nexthop-luajit" or "nexthop"

return M
