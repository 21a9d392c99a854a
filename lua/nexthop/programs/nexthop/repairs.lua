--- `nexthop --verify`: what to do about a result, in words.
--
-- A case is what is known where the advice is given: { report, host (of the report), planned (the same host
-- of the plan), connection (nil: the advice is about the host), port (of the TLSA records), at (when
-- certificates were judged) }.
local utf8 = require "nexthop.json.utf8"
local words = require "nexthop.programs.nexthop.words"

local M = {}

local held_back = "until then senders that do DANE hold mail back"

-- ---- certificates and records ------------------------------------------------------------

local kinds = { rsa = "RSA", ecdsa = "ECDSA", ec = "ECDSA", ed25519 = "Ed25519", ed448 = "Ed448" }

-- The certificate of the server itself; nil: none came.
local function leaf_of(connection)
  return connection.tls and connection.tls.chain and connection.tls.chain[1] or nil
end

-- "RSA": the kind of the certificate that was presented, or that was asked for.
local function kind_of(connection)
  local leaf = leaf_of(connection)
  return kinds[leaf and leaf.key] or kinds[connection.keys]
end

local function tlsa_name(case)
  return ("_%d._tcp.%s"):format(case.port, case.planned.tlsa_base_domain or case.host.host)
end

-- "publish 3 1 1 e299... at _25._tcp.mx.example"
local function publish(case)
  local leaf = leaf_of(case.connection)
  local record = leaf and "3 1 1 " .. leaf.spki_sha256 or "a record such as 3 1 1"
  return ("publish %s at %s"):format(record, tlsa_name(case))
end

-- A connection to this host that a record was right for and that fits; nil: there is none.
local function verified(case, fits)
  for _, other in ipairs(case.host.connections) do
    if other.dane == "verified" and other.ok and fits(other) then return other end
  end
end

-- Does no record name what would be found in the server's own certificate?
local function has_issuers_alone(planned)
  for _, record in ipairs(planned.records or {}) do
    if record.usage ~= 2 then return false end
  end
  return true
end

local function day(seconds)
  return os.date("!%Y-%m-%d", math.floor(seconds))
end

local function names_of(leaf)
  local names = {}
  for i, name in ipairs(leaf.names or {}) do names[i] = utf8.clean(name) end
  return #names > 0 and table.concat(names, ", ") or "no name"
end

-- ---- results ------------------------------------------------------------

local by_result = {}

by_result["validation-failure"] = function(case)
  local connection, kind = case.connection, kind_of(case.connection)
  local key = verified(case, function(other) return other.ip == connection.ip
    and other.port == connection.port end)
  if key and kind and kind_of(key) ~= kind then
    return ("the %s certificate matches, this %s certificate does not: %s too, or take it out of the server; "
      .. "senders that get it hold mail back"):format(kind_of(key), kind, publish(case))
  end
  local other = verified(case, function(c) return c.ip ~= connection.ip end)
  if other then
    return ("the server at %s presents a certificate that matches: install that one at %s too, or %s too")
      :format(other.ip, connection.ip, publish(case))
  end
  local count = #(case.planned.records or {})
  local restore = count == 1 and "restore the certificate that the record is for"
    or "restore a certificate that one of the records is for"
  if has_issuers_alone(case.planned) then
    restore = "let the server send the CA certificate that the record is for with its own"
  end
  return ("no TLSA record matches the certificate: %s, or %s; %s"):format(publish(case), restore, held_back)
end

by_result["certificate-host-mismatch"] = function(case)
  local leaf, planned = leaf_of(case.connection), case.planned
  local names = planned.names or { planned.sni or case.host.host }
  local what = ("let the CA issue a certificate for %s"):format(table.concat(names, " or "))
  if leaf then what = ("the certificate is for %s: %s"):format(names_of(leaf), what) end
  if planned.tls ~= "dane" then return what end
  return ("%s, or %s, for which names do not count; %s"):format(what, publish(case), held_back)
end

local function renew(case, why)
  if case.planned.tls ~= "dane" then return why end
  return ("%s, or %s, for which dates and issuers do not count; %s"):format(why, publish(case), held_back)
end

-- The first certificate of the chain that fits; nil: none does.
local function first_in_chain(connection, fits)
  for _, certificate in ipairs(connection.tls and connection.tls.chain or {}) do
    if fits(certificate) then return certificate end
  end
end

by_result["certificate-expired"] = function(case)
  local old = first_in_chain(case.connection, function(c) return c.not_after and c.not_after < case.at end)
  if not old then return renew(case, "renew the certificate") end
  return renew(case, ("the certificate of %s ended on %s: renew it"):format(utf8.clean(old.subject),
    day(old.not_after)))
end

by_result["certificate-not-trusted"] = function(case)
  local young = first_in_chain(case.connection, function(c) return c.not_before
    and c.not_before > case.at end)
  if young then
    return renew(case, ("the certificate of %s begins on %s: install one that is valid now"):format(
      utf8.clean(young.subject), day(young.not_before)))
  end
  return renew(case, "let the server send its whole chain, each certificate signed by the next")
end

-- What a missing or refused STARTTLS means where TLS is owed.
local function withdraw(case)
  if case.planned.tls ~= "dane" and case.planned.tls ~= "encrypt" then return "" end
  return (", or withdraw the TLSA records at %s; %s"):format(tlsa_name(case), held_back)
end

by_result["starttls-not-supported"] = function(case)
  for _, line in ipairs(case.connection.extensions or {}) do
    if line:upper():find "^STARTTLS%s*$" then
      return "the server offers STARTTLS and then refuses it: its log should say why (often it cannot read "
        .. "its certificate or key)" .. withdraw(case)
    end
  end
  return "turn STARTTLS on in the server, and see that no firewall takes it out of the reply to EHLO"
    .. withdraw(case)
end

by_result["connect-failed"] = function(case)
  local c = case.connection
  return ("see that the server listens at %s port %d and that no firewall refuses it (also none here: many "
    .. "networks let nothing out to port 25), or take the address out of the DNS"):format(c.ip, c.port)
end

by_result["timeout"] = function(case)
  local c = case.connection
  if case.report.expired and c.temporary then
    return "the deadline came before the server was done: give it more time (--deadline)"
  elseif c.stage == "connect" or not c.stage then
    return ("nothing comes back from %s port %d: see that no firewall drops the packets (also none here: "
      .. "many networks let nothing out to port 25), or take the address out of the DNS"):format(c.ip, c.port)
  end
  return "the server takes the connection and then says nothing more in time: see its load and its log; some "
    .. "servers delay strangers on purpose (--step gives them more time)"
end

by_result["greeting-refused"] = function(case)
  local again = case.connection.temporary and "the server refuses for now; if it goes on, " or ""
  return again
    .. "the server does not want this client: verify from an address with a reverse name that mail "
    .. "servers accept (--source, --helo)"
end

by_result["protocol-error"] = function(case)
  if case.connection.stage == "ehlo" and case.connection.reply then
    return "the server refuses EHLO: give a name that it accepts (--helo); a server that knows no EHLO has "
      .. "no STARTTLS"
  end
  return ("what answers at %s port %d does not speak SMTP as it must: see what listens there, and its log")
    :format(case.connection.ip, case.connection.port)
end

by_result["plaintext-injected"] = function()
  return "something was sent in plain text behind the reply to STARTTLS: update the server, or look for what "
    .. "changes the connection on its way"
end

by_result["tls-failed"] = function(case)
  local absent = #case.host.connections > 0
  for _, connection in ipairs(case.host.connections) do
    absent = absent and (connection.absent or connection.result == "tls-failed") and connection.keys ~= "any"
  end
  local what = "see that the server can read its certificate and key and offers TLS 1.2 or later; its "
    .. "log should say why the handshake failed"
  return absent and what .. " (or ask for any kind of key: --keys any)" or what
end

by_result["tlsa-invalid"] = function(case)
  return ("publish a record such as 3 1 1 at %s"):format(tlsa_name(case))
end

by_result["dnssec-invalid"] = function()
  return "repair the signatures or the DS of that zone; " .. held_back
end

by_result["dane-required"] = function(case)
  return ("publish a TLSA record such as 3 1 1 at %s, in a signed zone"):format(tlsa_name(case))
end

-- Hosts without a result: by the code of their error.
local by_code = {
  not_found = "add A or AAAA records for it, or take it out of the MX",
  servfail = "see that all name servers of that zone answer; " .. held_back,
  timeout = "see that all name servers of that zone answer; " .. held_back,
}

--- Returns what to do, or nil if nothing is to be done or nothing is known that helps.
-- @param case see above
function M.advice(case)
  local subject = case.connection or case.host
  if subject.ok then return nil end
  local advise = by_result[subject.result]
  if advise then return advise(case) end
  local err = case.host.err
  if case.connection or not err or not case.planned.err then return nil end
  if err.expired then return "give the lookups more time (--deadline)" end
  return by_code[err.code]
end

--- "RSA", the kind of key of a connection or a certificate by the name that the API has for it; nil: of any.
function M.kind(key)
  return kinds[key]
end

--- "RSA 2048 of CN=mx.example, for mx.example, until 2027-01-01"
function M.certificate(certificate)
  local key = kinds[certificate.key] or utf8.clean(certificate.key or "a key")
  local names = words.shorten(names_of(certificate), 120)
  return ("%s%s of %s, for %s, until %s"):format(key, certificate.bits and " " .. certificate.bits or "",
    words.shorten(utf8.clean(certificate.subject or ""), 120), names,
    certificate.not_after and day(certificate.not_after) or "a time that nobody can read")
end

return M
