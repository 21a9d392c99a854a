-- /etc/nexthop/monitor.lua: the configuration of nexthop-monitor(8).
return {
  domains = { "example.org", "example.net" },
  interval = 3600,              -- each domain is checked once in so many seconds
  retry = 300,                  -- and so soon where something is wrong
  listen = "127.0.0.1:9646",    -- GET /, /metrics, /check/DOMAIN
  state = "/var/lib/nexthop-monitor",
  on_change = { "/usr/local/bin/tell", "postmaster@example.org" },
}
