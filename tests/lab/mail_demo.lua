-- Mail servers with real TLS for `make demo`, and their domains in the lab's DNS: one that is right, three
-- mistakes that are often made, and for the doctor a healthy domain and a sick one.
--
--   local servers = require("tests.lab.mail_demo").start(lab)   -- lab is that of lab.shared()
--   servers.port                                        -- the port of all of them
--   for _, case in ipairs(servers.cases) do print(case.domain, case.introduction) end
--   for _, case in ipairs(servers.doctor) do print(case.domain, case.introduction) end
--   servers.stop()
local ca = require "tests.support.ca"
local mail_server = require "tests.support.mail_server"

local M = {}

local zone = "servers.example"

-- Without an issuer they sign themselves, as most of those with usage 3 do.
local function certificate(label, key, issuer)
  return ca.leaf { name = ("demo-%s-%s"):format(label, key), key = key, to = 60, issuer = issuer,
    names = { ("mx.%s.%s"):format(label, zone) } }
end

local function three_one_one(leaf) return ca.tlsa(leaf, 3, 1, 1) end

-- Each: label, introduction, a function that makes { certificates, records, further fields of the server },
-- whether the domain has a TLSRPT record, and the exit status of --check --verify.
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

local nothing = "3 1 1 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

local doctor = {
  { "healthy", "A record for each key, and one for the issuer, so that the next certificate can come.",
    function(rsa, ec, issuer)
      return { rsa, ec }, { three_one_one(rsa), three_one_one(ec), ca.tlsa(issuer, 2, 1, 1) }
    end, true, 0 },
  { "sick",
    "The record is for the RSA key alone, and a script whose OpenSSL call failed has added another one.",
    function(rsa, ec) return { rsa, ec }, { three_one_one(rsa), nothing } end, false, 1 },
}

--- Adds the zone, and starts the servers.
function M.start(lab)
  local text, self, starting, count = {}, { cases = {}, doctor = {} }, {}, 0
  local issuer = ca.authority { name = "demo-issuer", issuer = ca.authority { name = "demo-root" } }
  local function add(list, case, signer)
    count = count + 1
    local label, address = case[1], ("127.91.0.%d"):format(count)
    local certificates, records, server = case[3](certificate(label, "rsa", signer),
      certificate(label, "ec", signer), signer)
    text[#text + 1] = ("%s MX 10 mx.%s\nmx.%s A %s\n"):format(label, label, label, address)
    for _, record in ipairs(records) do
      text[#text + 1] = ("_25._tcp.mx.%s TLSA %s\n"):format(label, record)
    end
    server = server or {}
    server.certificates = certificates
    server.greeting = ("220 mx.%s.%s ESMTP"):format(label, zone)
    starting[address] = server
    if case[4] then
      text[#text + 1] = ("_smtp._tls.%s TXT \"v=TLSRPTv1; rua=mailto:tls@%s.%s\"\n"):format(label, label,
        zone)
    end
    list[#list + 1] = { domain = label .. "." .. zone, introduction = case[2], status = case[5] }
  end
  for _, case in ipairs(cases) do add(self.cases, case) end
  for _, case in ipairs(doctor) do add(self.doctor, case, issuer) end
  lab:add_zones { { name = zone, text = table.concat(text) } }
  local servers = mail_server.start()
  for address, server in pairs(starting) do servers:host(address, server) end
  self.port = servers.port
  function self.stop() servers:stop() end
  return self
end

return M
