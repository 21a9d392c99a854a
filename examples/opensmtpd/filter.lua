-- /etc/nexthop/filter.lua: the configuration of filter-nexthop(8). Everything here is the default
-- but for what stands in comments; check it with
--   /usr/libexec/opensmtpd/filter-nexthop -n -c /etc/nexthop/filter.lua
return {
  -- The options of nexthop.new. A validating resolver on this machine makes it quick:
  -- resolver = { forward = "127.0.0.1" },

  deadline = 10, -- seconds; then the finding is "failure"

  -- proceed, log (and proceed), junk, reject, tempfail
  sender = {
    null_mx = "reject",    -- says that it takes no mail
    no_host = "junk",      -- does not exist, or has neither MX nor address
    broken = "junk",       -- has MX hosts, none with an address
    unroutable = "junk",   -- has private, loopback, documentation ... addresses only
    bogus = "log",         -- DNSSEC validation failed
    failure = "proceed",   -- could not be looked up in time
  },
  recipient = {
    null_mx = "reject", no_host = "proceed", broken = "proceed", unroutable = "proceed",
    bogus = "log", failure = "proceed",
    dane = "log", dane_partial = "log", dane_broken = "log", no_dane = "proceed",
  },

  -- Not looked at: a name alone, and everything below one.
  -- exclude = { "example.org", "*.internal.example.org" },

  -- The last word. nil: as above; an action; or { "reject", "550 5.7.1 your text" }.
  -- policy = function(event)
  --   if event.role == "sender" and event.finding == "no_host" and event.session.rdns == "<unknown>" then
  --     return { "reject", "550 5.7.1 No such domain as " .. event.domain }
  --   end
  --   if event.finding == "dane_broken" then return "tempfail" end
  -- end,
}
