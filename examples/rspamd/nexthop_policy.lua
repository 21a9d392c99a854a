-- /etc/rspamd/nexthop_policy.lua: this function is called for every finding, also for `ok`. It returns nil
-- (no change), the name of another finding, or false (no symbol). It must not block.
--
-- event: role ("sender" or "recipient"; with `from = true` also "mime_from" or "reply_to"), phase, address,
-- domain, finding, result (the plan, or nil), err (or nil), task.

-- Hosts that accept mail for many throw-away domains.
local unwanted = { ["mx.throwaway.example"] = true }

-- If the function reads a symbol, that symbol must be set before. Otherwise rspamd runs both at the same
-- time.
rspamd_config:register_dependency("NEXTHOP_CHECK", "MAILLIST")

return function(event)
  if event.role ~= "sender" then return nil end
  -- Newsletters often come from a subdomain that has no mail host. Then there is no plan.
  if event.finding == "no_host" and event.task:has_symbol "MAILLIST" then return "ok" end
  if not event.result then return nil end
  for _, host in ipairs(event.result.hosts) do
    if unwanted[host.host] then return "broken" end
  end
  return nil
end
