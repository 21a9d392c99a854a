--- `nexthop --check`: finds out why a host is not `dane`, by further questions after the plan. What it
-- finds are facts; nexthop.programs.nexthop.check makes sentences of them.
--
-- Facts of a plan: { network = the call's, mx = WEAK, hosts = { [i] = FACTS } }. Facts of a host, or of the
-- error in place of a plan: { addresses = WEAK, tlsa = { TLSA, ... }, alive = boolean }.
--
-- WEAK is the reason why an answer is not secure: { kind, link, zone, ... }. `link` is the first name on the
-- way whose zone is not secure, `zone` that zone. The kinds:
--   unsigned       the zone above has no DS for it, and it has no keys
--   no_ds          the zone above has no DS for it, though it has keys
--   algorithm      its DS records are of `numbers` alone, algorithms that the validator does not support
--   digest         likewise, digest types
--   not_validated  it has a DS that any validator can use, and still its answers are not secure
--   unproven       all zones are secure, but not the proof in the answer: `iterations`, `optout` of its NSEC3
--                  records
--   unknown        nothing of this could be told
--   failed         a lookup failed: `name`, `type`
--
-- TLSA is what there is at a name that was asked for TLSA records: { name, chain, dname, rcode, secure,
-- count, iterations, optout, weak }.
local M = {}

local types = { A = 1, SOA = 6, MX = 15, AAAA = 28, DS = 43, DNSKEY = 48, TLSA = 52 }

--- So many NSEC3 iterations make a proof that does not count (RFC 9276 3.2; libunbound's limit).
M.MAX_ITERATIONS = 150

-- What every validator can use (RFC 8624 3.1, 3.3).
local algorithms = { [8] = true, [10] = true, [13] = true, [14] = true, [15] = true }
local digests = { [2] = true, [4] = true }

-- ---- why a zone is not secure ------------------------------------------------------------

local function listed(set)
  local list = {}
  for number in pairs(set) do list[#list + 1] = number end
  table.sort(list)
  return list
end

-- What DS records say of a zone that is not secure in spite of them.
local function by_ds(zone, records)
  local unknown_algorithms, unknown_digests, known_algorithm = {}, {}, false
  for _, rdata in ipairs(records) do
    local algorithm, digest = rdata:byte(3, 4)
    if not digest then
      return { kind = "unknown", zone = zone }
    elseif algorithms[algorithm] and digests[digest] then
      return { kind = "not_validated", zone = zone }
    elseif algorithms[algorithm] then
      known_algorithm = true
      unknown_digests[digest] = true
    else
      unknown_algorithms[algorithm] = true
    end
  end
  if known_algorithm then return { kind = "digest", zone = zone, numbers = listed(unknown_digests) } end
  return { kind = "algorithm", zone = zone, numbers = listed(unknown_algorithms) }
end

-- The apex of the zone is not secure, but all that is above it is.
local function of_zone(ask, zone)
  local ds = ask(zone, "DS")
  if not ds then return { kind = "failed", zone = zone, name = zone, type = "DS" } end
  if #ds.records > 0 then return by_ds(zone, ds.records) end
  if not ds.secure and not ds.optout and ds.iterations <= M.MAX_ITERATIONS then
    return { kind = "unknown", zone = zone } -- what is above has no trust anchor
  end
  local keys = ask(zone, "DNSKEY")
  return { kind = keys and #keys.records > 0 and "no_ds" or "unsigned", zone = zone }
end

-- The first zone above a name, from the top, that is not secure; nil: all are.
local function weakest(ask, name)
  local at = #name + 1
  while at do
    local above = name:sub(1, at - 1):match ".*()%."
    local zone = name:sub(above and above + 1 or 1)
    local soa = ask(zone, "SOA")
    if not soa then return { kind = "failed", zone = zone, name = zone, type = "SOA" } end
    if #soa.chain > 1 then return nil end -- nothing is delegated from an alias
    if #soa.records > 0 and not soa.secure then return of_zone(ask, zone) end
    at = above
  end
end

-- Why an answer is not secure; nil: it is.
local function why_insecure(ask, answer)
  if answer.secure then return nil end
  for _, link in ipairs(answer.chain) do
    local weak = weakest(ask, link)
    if weak then
      weak.link = link
      return weak
    end
  end
  return {
    kind = "unproven", link = answer.chain[#answer.chain], iterations = answer.iterations,
    optout = answer.optout,
  }
end

local function why(ask, name, type)
  local answer = ask(name, type)
  if not answer then return { kind = "failed", name = name, type = type } end
  return why_insecure(ask, answer)
end

-- ---- a host ------------------------------------------------------------

-- The name that the addresses were asked for; without an MX that is the domain.
local function first_name(plan, host)
  return plan.have_mx and host.host or plan.domain
end

local function tlsa_at(ask, name)
  local answer = ask(name, "TLSA")
  if not answer then return nil end
  return {
    name = name, chain = answer.chain, dname = answer.dname, rcode = answer.rcode, secure = answer.secure,
    count = #answer.records, iterations = answer.iterations, optout = answer.optout,
    weak = why_insecure(ask, answer),
  }
end

-- What there is at each name that was asked for TLSA records, in the order of asking.
local function all_tlsa(ask, plan, i, port)
  local host, list, seen = plan.hosts[i], {}, {}
  for _, base in ipairs { first_name(plan, host), host.expanded_host } do
    seen[("_%d._tcp.%s"):format(port, base)] = false
  end
  for _, entry in ipairs(plan.trace or {}) do
    if entry.host == i and entry.type == "TLSA" and seen[entry.name] == false then
      seen[entry.name] = true
      list[#list + 1] = tlsa_at(ask, entry.name)
    end
  end
  return list
end

local failures = { servfail = true, timeout = true, bogus = true }

-- Is anything else answered, and validated? Where nothing is, no zone is to blame. "arpa" is a domain that
-- every resolver has an answer for. nil: not asked.
local function is_alive(ask, outcome, err)
  if not failures[err.code] then return nil end
  for _, entry in ipairs(outcome.trace or {}) do
    if entry.security == "secure" or entry.security == "insecure" then return true end
  end
  return ask("arpa", "SOA") ~= nil
end

local function of_host(ask, plan, i, port)
  local host, facts = plan.hosts[i], {}
  if host.tls == "skip" then
    facts.alive = is_alive(ask, plan, host.err)
  elseif host.tls ~= "dane" and host.tlsa_base_domain then
    facts.tlsa = all_tlsa(ask, plan, i, port)
  elseif host.tls ~= "dane" and host.expanded_host and #host.ips > 0 then
    local family = host.ips[#host.ips]:find(":", 1, true) and "AAAA" or "A"
    facts.addresses = why(ask, first_name(plan, host), family)
  end
  return facts
end

local function look(ask, plan, err, port)
  if not plan then return { alive = is_alive(ask, err, err) } end
  local facts = { hosts = {} }
  if plan.have_mx and not plan.mx_authentic then facts.mx = why(ask, plan.domain, "MX") end
  for i in ipairs(plan.hosts) do facts.hosts[i] = of_host(ask, plan, i, port) end
  return facts
end

--- Plans a domain, and then asks what is needed to tell what is wrong with it.
-- @param call options of the plan, its trace among them; the deadline holds for all of it
-- @param port of the TLSA records
-- @param callback function(plan, err, facts)
-- @return a handle with cancel()
function M.plan(resolver, name, call, port, callback)
  local hrtime = require "luv".hrtime
  local proxy, begun, answers = {}, hrtime(), {}
  function proxy.cancel(self) return self.handle:cancel() end

  local looking
  local function resume(...)
    local ok, problem = coroutine.resume(looking, ...)
    if not ok then error(problem, 0) end
  end
  -- The answer, or nil where there is none within the deadline.
  local function ask(asked, type)
    local key = asked .. " " .. type
    if answers[key] == nil then
      local left = call.deadline and call.deadline - (hrtime() - begun) / 1e9
      if left and left <= 0 then return nil end
      proxy.handle = resolver:_lookup(asked, { type = types[type], deadline = left }, resume)
      answers[key] = coroutine.yield() or false
    end
    return answers[key] or nil
  end

  proxy.handle = resolver:plan(name, call, function(plan, err)
    looking = coroutine.create(function()
      local facts = look(ask, plan, err, port)
      facts.network = call.network
      callback(plan, err, facts)
    end)
    resume()
  end)
  return proxy
end

return M
