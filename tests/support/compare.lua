-- Compares what `plan` said with what reference.lua says. For worlds.lua.
--
--   compare.plan(expected, plan, err [, forged])      plan, err: as resolver:plan() answers them
--   compare.gather_destinations(...), compare.gather_ips(...)    the same for these calls
--   compare.class(code)                              the code, "failed" for all failures that pass
local compare = {}

local RANK = { may = 1, encrypt = 2, dane = 3, skip = 4 }

-- Which failure shows depends on which question libunbound asks first, and whether a chain that is too
-- long, or a loop, is given up by it (SERVFAIL) or by us.
local failed_codes = {
  timeout = true, servfail = true, bogus = true, failed = true, cname_loop = true, cname_limit = true,
}

function compare.class(code)
  return failed_codes[code] and "failed" or code
end

local class = compare.class

local function describe_host(tls, code, base, names)
  return ("%s%s%s%s"):format(tls, code and " " .. class(code) or "", base and " at " .. base or "",
    names and " for " .. table.concat(names, " ") or "")
end

local function flags_text(flags)
  return ("authentic %s, expanded_authentic %s, host_authentic %s, expanded_host %s"):format(
    tostring(flags.authentic), tostring(flags.expanded_authentic), tostring(flags.host_authentic),
    tostring(flags.expanded_host))
end

-- The families that a host's addresses are of.
local function families_of(host)
  local has, list = {}, {}
  for _, ip in ipairs(host.ips or {}) do
    has[ip:find(":", 1, true) and "AAAA" or "A"] = true
  end
  for _, type in ipairs { "AAAA", "A" } do
    if has[type] then
      list[#list + 1] = type
    end
  end
  return list
end

-- One host. Answers nil (right), "failed" (a failure, and not what was expected), "downgraded" or "differs".
-- forged: addresses that nobody signs may be gone, too.
local function compare_host(host, expected, forged)
  local got = describe_host(host.tls, host.err and host.err.code, host.sni, host.names)
  local base = (expected.tls == "dane" or expected.tls == "encrypt") and expected.base or nil
  local want = describe_host(expected.tls, expected.code, base, expected.names)
  if got ~= want then
    local code = host.tls == "skip" and class(host.err.code)
    if code == "failed" or forged and code == "not_found" then
      return "failed", got, want
    end
    return RANK[host.tls] < RANK[expected.tls] and "downgraded" or "differs", got, want
  end
  if host.host ~= expected.host then
    return "differs", host.host, expected.host
  end
  if host.tls ~= "skip" then
    got, want = flags_text(host), flags_text(expected.flags(families_of(host)))
    if got ~= want then
      return "differs", got, want
    end
  end
  return nil
end

local plan_fields = { have_mx = "have_mx", orig_authentic = "orig_next_hop_authentic",
  expanded_authentic = "expanded_next_hop_authentic", expanded = "expanded_next_hop" }

-- A plan. Answers a list of { verdict, got, want }, one for each host, verdict false where all is well.
function compare.plan(expected, plan, err, forged)
  local list = {}
  if not plan then
    local got = "fails: " .. class(err.code)
    local verdict = class(err.code) == "failed" and "failed" or "differs"
    for index = 1, expected.code and 1 or #expected.hosts do
      local want = expected.code and "fails: " .. class(expected.code) or expected.hosts[index].tls
      list[index] = { got ~= want and verdict, got, want }
    end
    return list
  elseif expected.code then
    local verdict = "differs"
    for _, host in ipairs(plan.hosts) do
      verdict = host.tls == "skip" and verdict or "downgraded"
    end
    return { { verdict, #plan.hosts .. " hosts", "fails: " .. expected.code } }
  elseif #plan.hosts ~= #expected.hosts then
    return { { "differs", #plan.hosts .. " hosts", #expected.hosts .. " hosts" } }
  end
  for index, host in ipairs(plan.hosts) do
    local verdict, got, want = compare_host(host, expected.hosts[index], forged)
    list[index] = { verdict or false, got, want }
  end
  if expected.expanded then
    for key, field in pairs(plan_fields) do
      if plan[field] ~= expected[key] then
        list[1] = { "differs", field .. " = " .. tostring(plan[field]), tostring(expected[key]) }
      end
    end
  end
  return list
end

-- One verdict for a call that is no plan.
local function compare_call(expected, result, err, compare_result)
  local want = expected.code and "fails: " .. class(expected.code) or "a result"
  local got = err and "fails: " .. class(err.code) or "a result"
  if got ~= want then
    return { { err and class(err.code) == "failed" and "failed" or "differs", got, want } }
  end
  return { result and compare_result() or { false, got, want } }
end

function compare.gather_destinations(expected, result, err)
  return compare_call(expected, result, err, function()
    for key, field in pairs(plan_fields) do
      -- libunbound 1.17 with name minimisation answers the CNAME question of an alias to a name
      -- that does not exist with that denial, and its status: insecure where the denial is. It
      -- decides nothing.
      local loose = result.nxdomain and key == "orig_authentic" and not result[field]
      if result[field] ~= expected[key] and not loose then
        return { "differs", field .. " = " .. tostring(result[field]), tostring(expected[key]) }
      end
    end
    if result.nxdomain ~= expected.nxdomain then
      return { "differs", "nxdomain = " .. tostring(result.nxdomain), tostring(expected.nxdomain) }
    end
  end)
end

function compare.gather_ips(expected, result, err)
  return compare_call(expected, result, err, function()
    local got, want = flags_text(result), flags_text(expected.flags(families_of(result)))
    return got ~= want and { "differs", got, want } or nil
  end)
end

return compare
