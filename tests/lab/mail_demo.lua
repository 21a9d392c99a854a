-- Four mail servers with real TLS for `make demo`, and their domains in the lab's DNS: one that is right, and
-- three mistakes that are often made.
--
--   local servers = require("tests.lab.mail_demo").start(lab)   -- lab is that of lab.shared()
--   servers.port                                        -- the port of all of them
--   for _, case in ipairs(servers.cases) do print(case.domain, case.introduction) end
--   servers.stop()
local ca = require "tests.support.ca"
local mail_server = require "tests.support.mail_server"

local M = {}

local zone = "servers.example"

-- Certificates that sign themselves, as most of those with usage 3 do.
local function certificate(label, key)
  return ca.leaf { name = ("demo-%s-%s"):format(label, key), key = key, names = { ("mx.%s.%s"):format(label,
    zone) } }
end

local function three_one_one(leaf) return ca.tlsa(leaf, 3, 1, 1) end

-- Each: label, introduction, and a function that makes { certificates, records, further fields of the server
-- }.
local cases = {
  { "right", "The server has an RSA and an ECDSA certificate, and there is a record for each key.",
    function(rsa, ec)
      return { rsa, ec }, { three_one_one(rsa), three_one_one(ec) }
    end },
  { "stale", "The certificate was renewed with a new key, and the record is still that of the old one.",
    function(rsa)
      return { rsa }, { ca.stale(3, 1, 1) }
    end },
  { "half",
    "The record is for the RSA key alone. Most senders get the ECDSA certificate, which no record matches.",
    function(rsa, ec) return { rsa, ec }, { three_one_one(rsa) } end },
  { "plain", "There is a TLSA record, so TLS is required, and the server does not offer it.", function(rsa)
    return {}, { three_one_one(rsa) }, { no_starttls = true }
  end },
}

--- Adds the zone, and starts the servers.
function M.start(lab)
  local text, self, starting = {}, { cases = {} }, {}
  for number, case in ipairs(cases) do
    local label, address = case[1], ("127.91.0.%d"):format(number)
    local certificates, records, server = case[3](certificate(label, "rsa"), certificate(label, "ec"))
    text[#text + 1] = ("%s MX 10 mx.%s\nmx.%s A %s\n"):format(label, label, label, address)
    for _, record in ipairs(records) do
      text[#text + 1] = ("_25._tcp.mx.%s TLSA %s\n"):format(label, record)
    end
    server = server or {}
    server.certificates = certificates
    server.greeting = ("220 mx.%s.%s ESMTP"):format(label, zone)
    starting[address] = server
    self.cases[number] = { domain = label .. "." .. zone, introduction = case[2] }
  end
  lab:add_zones { { name = zone, text = table.concat(text) } }
  local servers = mail_server.start()
  for address, server in pairs(starting) do servers:host(address, server) end
  self.port = servers.port
  function self.stop() servers:stop() end
  return self
end

return M
