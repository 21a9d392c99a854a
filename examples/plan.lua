-- lua5.4 examples/plan.lua DOMAIN [FORWARDER [ANCHOR]]: where its mail goes, and what TLS is owed.
local nexthop = require "nexthop"

local resolver = assert(nexthop.new { forward = arg[2], trust_anchor_file = arg[3] })
local plan, err = resolver:plan(arg[1] or "example.org", { deadline = 10 })
if not plan then
  print(err.code, err.permanent and "for good" or "for now", err)
  os.exit(err.permanent and 1 or 75, true)
end
for _, host in ipairs(plan.hosts) do -- in the order to try them
  print(host.pref, host.host, host.tls, table.concat(host.ips, " "))
  for _, record in ipairs(host.records) do
    print("", "TLSA", record) -- what the certificate must match
  end
  if host.names then
    print("", "names", table.concat(host.names, " ")) -- the names it must have, for usage 2
  elseif host.err then
    print("", "left alone:", host.err) -- a failure never means "no DANE"
  end
end
