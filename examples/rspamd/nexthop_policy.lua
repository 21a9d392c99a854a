-- /etc/rspamd/nexthop_policy.lua: called for every finding, `ok` too. Returns nil (as it is), the name
-- of another finding, or false (no symbol). It must not block.
--
-- event: role ("sender" or "recipient"), phase, address, domain, finding, result (the plan, or nil),
-- err (or nil), task.

-- Hosts that take mail for whole hills of throw-away domains.
local unwanted = { ["mx.throwaway.example"] = true }

return function(event)
  if event.role ~= "sender" or not event.result then return nil end
  for _, host in ipairs(event.result.hosts) do
    if unwanted[host.host] then return "broken" end
  end
  -- newsletters from a subdomain without a mail host of its own are common
  if event.finding == "no_host" and event.task:has_symbol "MAILLIST" then return "ok" end
  return nil
end
