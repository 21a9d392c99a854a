--- Symbols of each finding: name, default score, description.
return {
  sender = {
    null_mx = { "NEXTHOP_FROM_NULL_MX", 4, "Sender domain accepts no mail (null MX)" },
    no_host = { "NEXTHOP_FROM_NO_HOST", 3, "Sender domain does not exist or has no mail host" },
    broken = { "NEXTHOP_FROM_BROKEN", 2, "No mail host of the sender domain has an address" },
    unroutable = { "NEXTHOP_FROM_UNROUTABLE", 2, "No mail host of the sender domain can be reached" },
    bogus = { "NEXTHOP_FROM_BOGUS", 1, "DNSSEC validation of the sender domain failed" },
    failure = { "NEXTHOP_FROM_FAILURE", 0, "Sender domain could not be looked up" },
  },
  recipient = {
    null_mx = { "NEXTHOP_RCPT_NULL_MX", 0, "Recipient domain accepts no mail (null MX)" },
    no_host = { "NEXTHOP_RCPT_NO_HOST", 0, "Recipient domain does not exist or has no mail host" },
    broken = { "NEXTHOP_RCPT_BROKEN", 0, "No mail host of the recipient domain has an address" },
    unroutable = { "NEXTHOP_RCPT_UNROUTABLE", 0, "No mail host of the recipient domain can be reached" },
    bogus = { "NEXTHOP_RCPT_BOGUS", 0, "DNSSEC validation of the recipient domain failed" },
    failure = { "NEXTHOP_RCPT_FAILURE", 0, "Recipient domain could not be looked up" },
    dane = { "NEXTHOP_RCPT_DANE", 0, "All mail hosts of the recipient domain have DANE" },
    sts = { "NEXTHOP_RCPT_STS", 0, "All mail hosts of the recipient domain have DANE or MTA-STS" },
    dane_partial = { "NEXTHOP_RCPT_DANE_PARTIAL", 0, "Some mail hosts of the recipient domain have DANE" },
    dane_broken = { "NEXTHOP_RCPT_DANE_BROKEN", 0, "DANE of a mail host of the recipient domain is broken" },
    no_dane = { "NEXTHOP_RCPT_NO_DANE", 0, "No mail host of the recipient domain has DANE" },
  },
}
