-- /etc/nexthop/server.lua, the same on both machines. Of two unbounds that answer about equally fast, nexthop
-- asks now one and now the other. When one is silent, it asks the other. It validates each answer itself.
return {
  resolver = { forward = { "192.0.2.1", "192.0.2.2" } },
  deadline = 10,
}
