--- Symbols of each finding, by role: name, default score, description. A role is what a domain was found as:
-- of the envelope's sender or of a recipient, or in the header From or Reply-To.
local function findings_of(prefix, what, scores)
  local function symbol(suffix, text)
    local description = text:gsub("@", what)
    return { prefix .. suffix, scores[suffix] or 0, description:sub(1, 1):upper() .. description:sub(2) }
  end
  return {
    null_mx = symbol("NULL_MX", "@ accepts no mail (null MX)"),
    no_host = symbol("NO_HOST", "@ does not exist or has no mail host"),
    broken = symbol("BROKEN", "No mail host of the @ has an address"),
    unroutable = symbol("UNROUTABLE", "No mail host of the @ can be reached"),
    bogus = symbol("BOGUS", "DNSSEC validation of the @ failed"),
    failure = symbol("FAILURE", "@ could not be looked up"),
  }
end

local M = {
  sender = findings_of("NEXTHOP_FROM_", "sender domain",
    { NULL_MX = 4, NO_HOST = 3, BROKEN = 2, UNROUTABLE = 2, BOGUS = 1 }),
  mime_from = findings_of("NEXTHOP_MIME_FROM_", "domain in From", { NULL_MX = 3, NO_HOST = 2 }),
  reply_to = findings_of("NEXTHOP_REPLY_TO_", "domain in Reply-To", { NULL_MX = 3, NO_HOST = 2 }),
  recipient = findings_of("NEXTHOP_RCPT_", "recipient domain", {}),
}

M.recipient.dane = { "NEXTHOP_RCPT_DANE", 0, "All mail hosts of the recipient domain have DANE" }
M.recipient.sts = { "NEXTHOP_RCPT_STS", 0, "All mail hosts of the recipient domain have DANE or MTA-STS" }
M.recipient.dane_partial = {
  "NEXTHOP_RCPT_DANE_PARTIAL", 0, "Some mail hosts of the recipient domain have DANE",
}
M.recipient.dane_broken = {
  "NEXTHOP_RCPT_DANE_BROKEN", 0, "DANE of a mail host of the recipient domain is broken",
}
M.recipient.no_dane = { "NEXTHOP_RCPT_NO_DANE", 0, "No mail host of the recipient domain has DANE" }

return M
