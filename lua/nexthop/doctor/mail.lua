--- Findings about the MX records of a domain, its TLSA records and its report address.
local findings = require "nexthop.doctor.findings"
local core = require "nexthop.core"
local words = require "nexthop.programs.nexthop.words"

local M = {}

--- Findings about TLSA records that were never of a certificate: scripts whose OpenSSL call failed write the
-- digest of nothing.
function M.records(plan, port)
  local out = {}
  for _, host in ipairs(plan.hosts) do
    for _, list in ipairs { host.records or {}, host.weaker or {} } do
      for _, record in ipairs(list) do
        if findings.is_digest_of_nothing(record) then
          out[#out + 1] = findings.new("digest-of-nothing", "error", host.host,
            ("the data of the record %s is the digest of nothing at all"):format(words.record(record)),
            { cure = "see why the script that makes it found no certificate, and publish the record of the "
              .. "certificate in its place", port = port })
        end
      end
    end
  end
  return out
end

local function aliases(plan, add)
  for _, host in ipairs(plan.hosts) do
    if plan.have_mx and host.expanded_host and host.expanded_host ~= host.host then
      add("mx-is-alias", "warning", host.host, ("the MX of %s is an alias of %s, which it must not be (RFC "
        .. "5321 5.1, RFC 2181 10.3)"):format(plan.domain, host.expanded_host),
        ("let the MX name %s itself, and see that its certificate and TLSA records fit"):format(
          host.expanded_host))
    end
  end
end

-- The last label of an address has only digits.
local function is_address(name)
  return core.address((name:gsub("%.$", ""))) ~= nil
end

local function targets(domain, answer, add)
  local null, others = false, 0
  for _, target in ipairs(answer.records) do
    if target == "." or target == "" then
      null = true
    else
      others = others + 1
      if is_address(target) then
        add("mx-is-address", "error", domain, ("its MX record names the address %s, and must name a host "
          .. "(RFC 5321 5.1)"):format(target), "let the MX name a host with that address")
      end
    end
  end
  if null and others > 0 then
    add("null-mx-with-others", "warning", domain, "it has a null MX (MX 0 .) beside other MX records, so "
      .. "that some senders hold that it takes no mail (RFC 7505 3)", "take out the null MX, or all others")
  end
end

local function has_tlsrpt(answer)
  for _, record in ipairs(answer.records) do
    if record:find("v=TLSRPTv1", 1, true) == 2 then return true end
  end
  return false
end

--- Findings about the domain. Asks for its MX records and its report address.
-- @param ask function(name, type): the answer, or nil
-- @param plan nil: it failed
function M.domain(ask, domain, plan)
  local out = {}
  local function add(name, severity, subject, text, cure)
    out[#out + 1] = findings.new(name, severity, subject, text, { cure = cure })
  end
  if plan and not plan.expanded_next_hop then return out end -- an address
  local answer = ask(domain, "MX")
  if answer then targets(domain, answer, add) end
  if plan then aliases(plan, add) end
  local report = plan and plan.have_mx and ask("_smtp._tls." .. domain, "TXT")
  if report and not has_tlsrpt(report) then
    out[#out + 1] = findings.new("no-tlsrpt", "hint", domain,
      "it has no TLSRPT record, so that nobody tells you when deliveries fail", {
        cure = "publish one, with an address that takes the reports (RFC 8460)",
        record = ("_smtp._tls.%s. TXT \"v=TLSRPTv1; rua=mailto:tls-reports@%s\""):format(domain, domain),
      })
  end
  return out
end

return M
