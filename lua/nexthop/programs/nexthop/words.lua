--- What the program says in more than one place: results in words.
local hex = require "nexthop.hex"
local memo = require "nexthop.memo"
local utf8 = require "nexthop.json.utf8"

local M = {}

--- An error's message; without the name it begins with, where that stands above it already.
function M.message(err, name)
  local message = err.message
  if name and message:sub(1, #name + 2) == name .. ": " then message = message:sub(#name + 3) end
  return utf8.clean(message)
end

M.tls = {
  dane = "dane: TLS, verified by the TLSA records below",
  encrypt = "encrypt: TLS, not verified (no TLSA record is usable)",
  sts = "sts: TLS, verified by certificate authorities with the host's own name (MTA-STS)",
  may = "may: TLS if the host offers it (no DANE)",
  skip = "skip: leave this host alone for now",
}

function M.secure(flag)
  return flag and "secure" or "insecure"
end

local selectors = { [0] = "certificate", "public key" }
local matches = { [0] = "as it is", "by its SHA2-256", "by its SHA2-512" }
local usages = {
  [0] = "a public CA's %s, %s (PKIX-TA)",
  "the host's own %s, %s, from a public CA (PKIX-EE)",
  "a CA's %s, %s: the certificate must come from it and bear one of the names (DANE-TA)",
  "the host's own %s, %s: names and dates do not count (DANE-EE)",
}

--- What a TLSA record means; nil if its fields say nothing.
function M.meaning(record)
  local text, what, how = usages[record.usage], selectors[record.selector], matches[record.match_type]
  return text and what and how and text:format(what, how)
end

local hex_of = memo(hex.encode)

--- A TLSA record as in a zone file; full certificates are cut.
function M.record(record)
  local data = hex_of[record.data]
  if #data > 128 then data = ("%s... (%d bytes)"):format(data:sub(1, 64), #record.data) end
  return ("%d %d %d %s"):format(record.usage, record.selector, record.match_type, data)
end

--- Why a host has no DANE: which link of the chain is not secure, or that there are no records.
function M.no_dane(plan, host)
  if host.tlsa_base_domain then return "it has no TLSA record that is secure" end
  if not host.expanded_host then return "it is an address: there is no DANE for those" end
  if plan.have_mx and not plan.mx_authentic then
    return "the MX records are not secure, so TLSA is not asked for (RFC 7672 2.2.1)"
  end
  return "its addresses are not secure, so TLSA is not asked for (RFC 7672 2.2.2)"
end

--- The policy of a domain, in one line.
function M.sts(sts)
  return ("%s, id %s, %s, known until %s"):format(sts.mode, sts.id,
    sts.source == "fetch" and "fetched now" or "fetched before", os.date("!%Y-%m-%d %H:%M UTC", sts.expires))
end

--- A text of so many characters at most, on one line.
function M.shorten(text, most)
  return #text > most and text:sub(1, most) .. "..." or text
end

--- A message that may hold lines of a server's reply, as one line.
function M.one_line(text)
  return (utf8.clean((text:gsub("%s*\n%s*", " / "))))
end

--- A name for people: cut where it is far longer than any name can be.
function M.name(name)
  name = utf8.clean(name)
  return #name > 300 and name:sub(1, 60) .. "..." or name
end

--- "1 host", "2 hosts"
function M.count(n, word)
  return ("%d %s%s"):format(n, word, n == 1 and "" or word:find "s$" and "es" or "s")
end

--- True if a certificate's names count for one of these records.
function M.names_count(records)
  for _, record in ipairs(records) do
    if record.usage == 2 then return true end
  end
  return false
end

return M
