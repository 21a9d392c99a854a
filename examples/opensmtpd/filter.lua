-- /etc/nexthop/filter.lua: the configuration of filter-nexthop(8). All values here are the defaults,
-- except those in comments. Check the file with
--   /usr/libexec/opensmtpd/filter-nexthop -n -c /etc/nexthop/filter.lua
return {
  -- The options of nexthop.new. With a validating resolver on this machine lookups are fast:
  -- resolver = { forward = "127.0.0.1" },

  deadline = 10, -- seconds; after them the finding is "failure"

  -- "log": each delivery of outgoing mail that had less TLS than its host was owed is logged. In smtpd.conf:
  --   action "relay" relay filter nexthop
  outgoing = "off",

  -- proceed, log (and proceed), junk, reject, tempfail
  sender = {
    null_mx = "reject",    -- the domain accepts no mail
    no_host = "junk",      -- it does not exist, or has neither MX nor address
    broken = "junk",       -- it has MX hosts, none with an address
    unroutable = "junk",   -- it has only private, loopback, documentation ... addresses
    bogus = "log",         -- DNSSEC validation failed
    failure = "proceed",   -- the lookup failed or was too slow
  },
  recipient = {
    null_mx = "reject", no_host = "proceed", broken = "proceed", unroutable = "proceed",
    bogus = "log", failure = "proceed",
    dane = "log", sts = "log", dane_partial = "log", dane_broken = "log", no_dane = "proceed",
  },

  -- Domains that are not checked: one name, and every name below a name.
  -- exclude = { "example.org", "*.internal.example.org" },

  -- This function makes the final decision. It returns nil (the action above), an action, or
  -- { "reject", "550 5.7.1 your text" }.
  -- policy = function(event)
  --   if event.role == "sender" and event.finding == "no_host" and event.session.rdns == "<unknown>" then
  --     return { "reject", "550 5.7.1 No such domain as " .. event.domain }
  --   end
  --   if event.finding == "dane_broken" then return "tempfail" end
  -- end,
}
