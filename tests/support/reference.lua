-- What `plan` must say, a second time: slow, hop by hop, straight from RFC 7672, in the order of its
-- sections. It shares nothing with src/ and knows no resolver: `ask(name, type)` answers for one name,
-- following nothing, with
--   { status = "secure" | "insecure", kind = "records", records = { ... } }
--   { status = ...,                   kind = "alias", target = name }
--   { status = ...,                   kind = "nodata" | "nxdomain" }
--   { failed = "bogus" | "servfail" | "timeout" }
-- Records of MX are { pref, host }, "." for a null MX; those of TLSA are { usable = boolean }.
--
-- What a DNAME above a name makes of it is an alias, too; its status is that of the DNAME, which is what is
-- signed (RFC 6672 section 5.3.1), whatever type was asked for.
--
--   reference.plan(ask, "example.org", { insecure_mx =, require_dane =, network =, port = })
-- answers { code = ... } when the plan fails, else { hosts = { { host, pref, tls, code, base, names,
-- flags } }, have_mx, orig_authentic, expanded_authentic, expanded }.
--   reference.destinations(ask, "example.org"), reference.ips(ask, "mx.example.org")
-- answer the same of gather_destinations and gather_ips.
--   reference.flags(ask, "mx.example.org", types)
-- answers those of gather_ips: { authentic, expanded_authentic, host_authentic, expanded_host }; types:
-- { "AAAA" } for a result that has only such addresses.
local reference = {}

-- Aliases that are followed, as the API has it: 16 names of a domain, 11 aliases of a host, 10 of a TLSA
-- name.
local LIMIT = { MX = 15, A = 11, AAAA = 11, TLSA = 10 }

-- Section 2.1.3: follows the aliases of a name, keeping track of whether all of it is secure: one
-- insecure alias, and it and all that follows is insecure.
local function follow(ask, name, type, limit)
  local walk = { name = name, secure = true, chain_secure = true, aliases = 0 }
  local seen = { [name] = true }
  local answer = ask(name, type)
  while not answer.failed do
    walk.secure = walk.secure and answer.status == "secure"
    walk.first_secure = walk.first_secure or walk.aliases == 0 and answer.status == "secure"
    if answer.kind ~= "alias" then
      walk.own_secure = answer.status == "secure"
      break
    end
    walk.chain_secure = walk.secure
    walk.aliases = walk.aliases + 1
    walk.name = answer.target
    if seen[walk.name] then
      answer = { failed = "cname_loop" }
    elseif walk.aliases > (limit or LIMIT[type]) then
      answer = { failed = "cname_limit" }
    else
      seen[walk.name] = true
      answer = ask(walk.name, type)
    end
  end
  walk.answer = answer
  walk.failed = answer.failed
  walk.found = answer.kind == "records" and answer.records
  return walk
end

-- Section 2.1.3: the status of the zone in which the initial alias is published takes a question of
-- type CNAME, that returns only this.
local function initial_alias(ask, name)
  local answer = ask(name, "CNAME")
  return answer.status == "secure", answer.failed
end

-- Section 2.2.3: one candidate. Answers the records; or nil; or nil and why it could not be looked up.
-- "If any insecure records are encountered or the TLSA records don't exist, the next candidate":
-- nothing behind an insecure alias can change that.
local function tlsa_records(ask, base, port)
  local name = ("_%d._tcp.%s"):format(port, base)
  local seen, aliases = {}, 0
  while true do
    local answer = seen[name] and { failed = "cname_loop" }
      or aliases > LIMIT.TLSA and { failed = "cname_limit" } or ask(name, "TLSA")
    seen[name], aliases = true, aliases + 1
    if answer.failed then
      return nil, answer.failed
    elseif answer.status ~= "secure" or answer.kind == "nodata" or answer.kind == "nxdomain" then
      return nil
    elseif answer.kind == "records" then
      return answer.records
    end
    name = answer.target
  end
end

-- Section 2.2.3 and 2.1.2: the candidates in turn; an error makes the server unreachable.
local function search(ask, bases, port)
  for _, base in ipairs(bases) do
    local records, failed = tlsa_records(ask, base, port)
    if failed then
      return { tls = "skip", code = failed }
    elseif records then
      for _, record in ipairs(records) do
        if record.usable then
          return { tls = "dane", base = base }
        end
      end
      return { tls = "encrypt", base = base } -- section 2.2: TLS, unauthenticated
    end
  end
  return { tls = "may" }
end

-- The families of addresses that the caller wants.
local function families(options)
  return options.network == "ip4" and { "A" } or options.network == "ip6" and { "AAAA" } or { "AAAA", "A" }
end

-- The addresses of a name: { ipv4 walk, ipv6 walk }, or nil and the code of an unreachable host. A
-- family that could not be looked up proves nothing, but the other's addresses are addresses.
local function addresses(ask, name, types, limit)
  local failed
  local found = {}
  for _, type in ipairs(types) do
    local walk = follow(ask, name, type, limit)
    if failed ~= "bogus" then -- says most of the codes
      failed = walk.failed or failed
    end
    if walk.found then
      found[#found + 1] = walk
    end
  end
  if #found == 0 then
    return nil, failed or "not_found"
  end
  return found
end

-- Section 2.2.2 for an input domain: where to look for TLSA records. `prefix` is what was followed to
-- come from the input to the name that has addresses (an implicit MX behind aliases).
local function non_mx_destination(ask, input, options, prefix, limit)
  local port = options.port or 25
  local found, failed = addresses(ask, prefix and prefix.name or input, families(options), limit)
  if not found then
    return { tls = "skip", code = failed }
  end
  local secure, aliases = false, prefix and prefix.aliases or 0
  for _, walk in ipairs(found) do
    secure = secure or walk.secure and (not prefix or prefix.secure)
  end
  aliases = aliases + found[1].aliases
  local expanded = found[1].name
  if aliases == 0 then
    return secure and search(ask, { input }, port) or { tls = "may" }      -- "Non-CNAME"
  elseif secure then
    return search(ask, { expanded, input }, port)                           -- "Secure CNAME"
  end
  local initial_secure, why = initial_alias(ask, input)                       -- "Insecure CNAME"
  if why then
    return { tls = "skip", code = why } -- 2.1.2: an error is not "insecure"
  end
  return initial_secure and search(ask, { input }, port) or { tls = "may" }
end

-- What gather_ips says: only families with addresses count, and without any all denials.
function reference.flags(ask, name, types, limit)
  local found, denied = {}, {}
  for _, type in ipairs(types or { "AAAA", "A" }) do
    local walk = follow(ask, name, type, limit)
    if not walk.failed then
      table.insert(walk.found and found or denied, walk)
    end
  end
  local walks = #found > 0 and found or denied
  if #walks == 0 then
    return nil
  end
  local own, chain, first = true, true, true
  for _, walk in ipairs(walks) do
    own, chain = own and walk.own_secure, chain and walk.chain_secure
    first = first and walk.first_secure
  end
  return { authentic = first and own, expanded_authentic = chain and own, host_authentic = first,
    expanded_host = walks[1].name }
end

-- Section 3.2.2: the reference identifiers, each once.
local function identifiers(...)
  local names, seen = {}, {}
  for _, name in ipairs { ... } do
    if not seen[name] then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  return names
end

local function finish(host, options)
  if options.require_dane and (host.tls == "may" or host.tls == "encrypt") then
    host.tls, host.code, host.base = "skip", "no_dane", nil
  end
  if host.tls ~= "dane" then
    host.names = nil
  end
  return host
end

local function is_null(records)
  for _, record in ipairs(records) do
    if record.host ~= "." then
      return false
    end
  end
  return true
end

-- A host itself, as one in brackets is planned: no MX.
local function of_host(ask, host, options)
  local result = non_mx_destination(ask, host, options, nil, LIMIT.MX)
  result.host, result.pref = host, -1
  result.names = result.base and (result.base == host and { host } or identifiers(result.base, host))
  result.flags = function(types)
    return reference.flags(ask, host, types, LIMIT.MX)
  end
  return { hosts = { finish(result, options) }, have_mx = false }
end

-- What gather_destinations says, its hosts left out; and the walk to the MX records.
function reference.destinations(ask, domain)
  local mx = follow(ask, domain, "MX")
  if mx.failed then
    return { code = mx.failed } -- 2.1.2: delivery is delayed
  elseif mx.found and is_null(mx.found) then
    return { code = "no_mail" } -- RFC 7505
  end
  return { have_mx = mx.found and true or false, orig_authentic = mx.first_secure or false,
    expanded_authentic = mx.secure, expanded = mx.name,
    nxdomain = mx.answer.kind == "nxdomain" or nil }, mx
end

-- What gather_ips says: { code }, or { flags = function(types) }.
function reference.ips(ask, host)
  local found, failed = addresses(ask, host, families {})
  return { code = not found and failed or nil, flags = function(types)
    return reference.flags(ask, host, types)
  end }
end

function reference.plan(ask, domain, options)
  options = options or {}
  local host_itself = domain:match("^%[(.*)%]$")
  if host_itself then
    return of_host(ask, host_itself, options)
  end
  local plan, mx = reference.destinations(ask, domain)
  if plan.code then
    return plan
  elseif plan.nxdomain then
    return { code = "nxdomain" } -- RFC 5321 section 5.1
  elseif not mx.found then
    -- No MX: the domain is its own only host; the denial of MX is no MX RRset, its status no matter.
    local chain = { name = mx.name, aliases = mx.aliases, secure = mx.chain_secure }
    local host = non_mx_destination(ask, domain, options, chain)
    host.host, host.pref = mx.name, -1
    -- The base domain is the original next-hop, alone; or its expansion.
    host.names = host.base and (host.base == domain and { domain } or identifiers(host.base, domain))
    host.flags = function(types)
      return reference.flags(ask, domain, types, LIMIT.MX)
    end
    plan.hosts = { finish(host, options) }
    return plan
  end
  local hosts = {}
  for _, record in ipairs(mx.found) do
    if record.host ~= "." then
      local host
      if mx.secure or options.insecure_mx == "dane" then -- 2.2.1
        host = non_mx_destination(ask, record.host, options)
      else
        local found, failed = addresses(ask, record.host, families(options))
        host = found and { tls = "may" } or { tls = "skip", code = failed }
      end
      if mx.secure then
        host.names = host.base and identifiers(host.base, domain, mx.name)
      else
        host.names = host.base and { host.base }
      end
      host.host, host.pref = record.host, record.pref
      host.flags = function(types)
        return reference.flags(ask, record.host, types)
      end
      hosts[#hosts + 1] = finish(host, options)
    end
  end
  table.sort(hosts, function(a, b) return a.pref < b.pref end)
  plan.hosts = hosts
  return plan
end

return reference
