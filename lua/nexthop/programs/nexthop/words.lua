--- What the program says in more than one place: results in words, and text made fit for a terminal.
local hex = require "nexthop.hex"
local memo = require "nexthop.memo"

local M = {}

-- ---- text from outside ------------------------------------------------------------

-- The length of the valid UTF-8 sequence at `at`, and its code point; nil: there is none.
local function sequence(text, at)
  local first = text:byte(at)
  local n = first < 0x80 and 1 or first >= 0xc2 and first < 0xe0 and 2 or first >= 0xe0 and first < 0xf0 and 3
    or first >= 0xf0 and first < 0xf5 and 4
  if not n then return nil end
  if n == 1 then return 1, first end
  local code = first % 2 ^ (7 - n)
  for i = at + 1, at + n - 1 do
    local byte = text:byte(i)
    if not byte or byte < 0x80 or byte > 0xbf then return nil end
    code = code * 64 + byte % 64
  end
  if n == 3 and (code < 0x800 or code >= 0xd800 and code <= 0xdfff) or n == 4
    and (code < 0x10000 or code > 0x10ffff) then return nil end
  return n, code
end

-- Controls, C1 controls, and what turns the direction of text.
local function harmful(code)
  return code < 0x20 or code >= 0x7f and code <= 0x9f or code == 0x61c or code >= 0x200e and code <= 0x200f
    or code >= 0x2028 and code <= 0x202e or code >= 0x2066 and code <= 0x2069 or code == 0xfeff
end

--- Walks text: what is harmless UTF-8 stays, the rest becomes what replace(bytes, code) returns
-- (code is nil for bytes that are no UTF-8).
function M.filter(text, replace)
  if not text:find "[^ -~]" then return text end
  local out, at = {}, 1
  while at <= #text do
    local n, code = sequence(text, at)
    local bytes = text:sub(at, at + (n or 1) - 1)
    out[#out + 1] = (not code or harmful(code)) and replace(bytes, code) or bytes
    at = at + #bytes
  end
  return table.concat(out)
end

local function escaped(bytes)
  return (bytes:gsub(".", function(c) return ("\\x%02x"):format(c:byte()) end))
end

--- Text as it may go to a terminal: nothing in it but what is seen.
function M.clean(text)
  return M.filter(tostring(text), escaped)
end

--- An error's message; without the name it begins with, where that stands above it already.
function M.message(err, name)
  local message = err.message
  if name and message:sub(1, #name + 2) == name .. ": " then message = message:sub(#name + 3) end
  return M.clean(message)
end

-- ---- results in words ------------------------------------------------------------

M.tls = {
  dane = "dane: TLS, verified by the TLSA records below",
  encrypt = "encrypt: TLS, not verified (no TLSA record is usable)",
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

local meanings = {} -- by usage, selector and match type in a row
for usage, text in pairs(usages) do
  for selector, what in pairs(selectors) do
    for match, how in pairs(matches) do
      meanings[usage * 65536 + selector * 256 + match] = text:format(what, how)
    end
  end
end

--- What a TLSA record means; nil if its fields say nothing.
function M.meaning(record)
  return meanings[record.usage * 65536 + record.selector * 256 + record.match_type]
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

--- A name for people: cut where it is far longer than any name can be.
function M.name(name)
  name = M.clean(name)
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
