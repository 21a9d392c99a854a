-- /etc/rspamd/nexthop_policy.lua: called for every finding, `ok` too. Returns nil (as it is), the name
-- of another finding, or false (no symbol). It must not block.
--
-- event: role ("sender" or "recipient"), phase, address, domain, finding, result (the plan, or nil),
-- err (or nil), task.

-- Hosts that take mail for whole hills of throw-away domains.
local unwanted = { ["mx.throwaway.example"] = true }

-- A symbol that the function asks for must be there before: rspamd runs all at once otherwise.
rspamd_config:register_dependency("NEXTHOP_CHECK", "MAILLIST")

return function(event)
  if event.role ~= "sender" then return nil end
  -- Newsletters from a subdomain without a mail host of its own are common. There is no plan then.
  if event.finding == "no_host" and event.task:has_symbol "MAILLIST" then return "ok" end
  if not event.result then return nil end
  for _, host in ipairs(event.result.hosts) do
    if unwanted[host.host] then return "broken" end
  end
  return nil
end
