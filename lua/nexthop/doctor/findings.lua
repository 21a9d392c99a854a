--- The findings of the doctor (`nexthop --check`): their names, and how one is made.
--
-- A finding is { name, severity, subject, text, cure, record, port }. `subject` is the host, the zone or the
-- domain that it is about, `text` says what is wrong, `cure` what to do. `record` is the record to publish,
-- where that is the cure. `port` is that of the TLSA records, where the finding is about them or about a
-- connection. Severities: "error" (mail is held back, or will be soon), "warning" (it may come to that) and
-- "hint" (it can be better). man/nexthop.1 describes each name.
local hex = require "nexthop.hex"

local M = {}

local names = [[
  not-secure no-tlsa no-usable-tlsa no-address reserved-name lookup-failed bogus-answers no-mail
  no-such-domain no-valid-mx too-many-hosts mx-is-address mx-is-alias null-mx-with-others no-tlsrpt
  sts-policy sts-mismatch
  digest-of-nothing

  stale-record uncovered-certificate root-not-sent key-kinds-differ addresses-differ certificate-expiring
  certificate-expired not-prepared starttls-not-supported certificate-host-mismatch certificate-not-trusted
  connect-failed timeout greeting-refused protocol-error plaintext-injected tls-failed

  lagging-server contradicting-servers server-silent bogus-server signature-ending signature-expired
  tcp-nxdomain ttl-out-of-range ds-without-key nsec3-iterations sha1-algorithm not-all-checked
]]

--- The names as a set.
M.names = {}
for name in names:gmatch "%S+" do M.names[name] = true end

-- What helps against the findings that nexthop.programs.nexthop.check makes, in general.
local cures = {
  ["not-secure"] = "sign the zones of the domain and of the host with DNSSEC, and have their DS published",
  ["no-tlsa"] = "publish a TLSA record such as 3 1 1 for the host, in a signed zone",
  ["sts-policy"] = "repair the record, the policy or the host that serves it",
  ["sts-mismatch"] = "name the host in the policy and change the id of the record",
  ["no-usable-tlsa"] = "publish a TLSA record such as 3 1 1 in the place of those that cannot be used",
  ["no-address"] = "add A or AAAA records for the host, or take it out of the MX",
  ["reserved-name"] = "let the MX name a host that the DNS has",
  ["lookup-failed"] = "see that all name servers of that zone answer",
  ["bogus-answers"] = "repair the signatures or the DS of that zone",
  ["no-such-domain"] = "see that the domain is registered and served",
  ["no-valid-mx"] = "let the MX records name hosts",
  ["too-many-hosts"] = "publish fewer MX records",
  ["mx-is-address"] = "let the MX name a host with that address",
}

--- A finding about a host that is not `dane`, or about a domain without a plan.
function M.of_plan(name, subject, text, port)
  return M.new(name, "error", subject, text, { cure = cures[name], port = port })
end

local nothing = {
  [1] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
  [2] = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    .. "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
}

--- Is the data of a TLSA record the digest of no bytes?
function M.is_digest_of_nothing(record)
  return nothing[record.match_type] == hex.encode(record.data)
end

local ranks = { error = 1, warning = 2, hint = 3 }

--- Makes a finding.
-- @param more { cure, record, port }
function M.new(name, severity, subject, text, more)
  assert(M.names[name] and ranks[severity], name)
  more = more or {}
  return {
    name = name, severity = severity, subject = subject, text = text, cure = more.cure, record = more.record,
    port = more.port,
  }
end

--- Does one of them matter? Hints do not.
function M.are_bad(list)
  for _, finding in ipairs(list) do
    if finding.severity ~= "hint" then return true end
  end
  return false
end

--- A copy in which the worst stand first and none stands twice. The order is otherwise kept.
function M.sorted(list)
  local out, seen = {}, {}
  for _, severity in ipairs { "error", "warning", "hint" } do
    for _, finding in ipairs(list) do
      local key = ("%s %s %s %s"):format(finding.name, finding.subject, finding.port or "", finding.text)
      if finding.severity == severity and not seen[key] then
        seen[key] = true
        out[#out + 1] = finding
      end
    end
  end
  return out
end

return M
