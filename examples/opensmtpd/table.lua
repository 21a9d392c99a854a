-- /etc/nexthop/table.lua: the configuration of table-nexthop(8). All values here are the defaults, except
-- those in comments. Check the file with
--   /usr/libexec/opensmtpd/table-nexthop -n /etc/nexthop/table.lua
return {
  -- The options of nexthop.new. With a validating resolver on this machine lookups are fast:
  -- resolver = { forward = "127.0.0.1" },

  -- Or a nexthop-server, which has the answers of the filter and of other programs in its cache:
  -- socket = "/run/nexthop/nexthop.sock",

  deadline = 0.3, -- seconds that smtpd waits for an answer; then it answers its client with 451

  -- A domain is in the table when every host that has an address is owed one of these.
  verdicts = { "dane", "encrypt" },

  -- With MTA-STS. Then "sts" is a verdict, too:
  -- sts = true,

  -- Domains that are never in the table: one name, and every name below a name.
  -- exclude = { "example.org", "*.internal.example.org" },

  -- This function makes the final decision: true, false, or nil (as above).
  -- rule = function(event)
  --   if event.domain == "partner.example" then return true end
  -- end,
}
