-- The downgrade matrix: thousands of combinations of what can be secure, insecure, bogus, failed or
-- absent on the way from a domain to TLSA records, planned and compared with reference.lua.
--
--   NEXTHOP_DOWNGRADE=all    all of them, not a sample
--   NEXTHOP_SEED=N           others of them: a number, or "random"; the seed is printed
local support = require "tests.support"
local reference = require "tests.support.reference"
local combinations = require "tests.support.combinations"
local files = require "tests.support.files"
local lab = support.lab

local asked = os.getenv "NEXTHOP_SEED"
local seed = tonumber(asked) or (asked == "random" and os.time()) or 1
local share = os.getenv("NEXTHOP_DOWNGRADE") == "all" and 1 or 0.04
local IN_FLIGHT = math.floor(300 / support.slow ^ 2)

-- Where several answers fail, or none can be used, it depends on libunbound which failure shows first.
local function class(code)
  return (code == "timeout" or code == "servfail" or code == "bogus") and "failed" or code
end

local function host_line(host, base)
  return ("%s: %s%s%s%s"):format(host.host, host.tls, host.err and " " .. class(host.err.code) or "",
    base and " at " .. base or "", host.names and " for " .. table.concat(host.names, " ") or "")
end

-- And which of them a failed lookup can have made what they are: of the host, or of one address family,
-- which leaves what the other one is worth. It never makes one `dane` or `encrypt`.
local function lines_of(plan, err)
  if not plan then
    return { "fails: " .. class(err.code) }, { true }
  end
  local lines, failed = {}, {}
  for index, host in ipairs(plan.hosts) do
    lines[index] = host_line(host, host.sni)
    failed[index] = lines[index]:find("failed$") or host.tls == "may" and host.failed
  end
  return lines, failed
end

local function expected_lines(plan)
  local lines = {}
  for index, host in ipairs(plan.hosts or {}) do
    host.err = host.code and { code = host.code }
    lines[index] = host_line(host, (host.tls == "dane" or host.tls == "encrypt") and host.base)
  end
  return plan.code and { "fails: " .. class(plan.code) } or lines
end

describe("downgrade matrix, seed " .. seed .. ":", function()
  local here, domains, random
  local unbound_conf

  setup(function()
    support.reset()
    here, domains, random = combinations.make(seed, share)
    local zones, faults, data = here:tell()
    lab:add_zones(zones)
    for _, rule in pairs(faults) do
      lab:rule(rule)
    end
    unbound_conf = files.new("server:\n" .. table.concat(data, "\n") .. "\n")
  end)
  teardown(function()
    files.remove()
    support.close()
    lab:clear()
  end)

  local function resolver(minimise)
    return support.resolver { unbound_conf = unbound_conf, timeout = 10, stub = here:stub(lab),
      options = { ["qname-minimisation"] = minimise } }
  end

  -- Plans a list of cases { domain, options, expected, hard }, many at a time, and calls
  -- check(case, lines, failed) with what came.
  local function plan_all(cases, in_flight, check)
    local minimising, exact = resolver "yes", resolver "no"
    local waiting = 0
    for number, case in ipairs(cases) do
      waiting = waiting + 1
      local with = (case.hard or number % 2 == 0) and exact or minimising
      with:plan(case.domain, case.options, function(plan, err)
        waiting = waiting - 1
        local lines, failed = lines_of(plan, err)
        check(case, lines, failed)
      end)
      while waiting >= in_flight or (number == #cases and waiting > 0) do
        minimising:wait(0.002)
        exact:wait(0.002)
      end
    end
  end

  local function report(case, lines)
    return ("%s, insecure_mx %s, require_dane %s:\n  %s\nand not\n  %s\n%s"):format(case.domain,
      case.options.insecure_mx, tostring(case.options.require_dane), table.concat(lines, "\n  "),
      table.concat(case.expected, "\n  "), case.described)
  end

  local function is_expected(case, line, index)
    return line == case.expected[index] or line == case.from_cache[index]
  end

  -- Each line is what was expected, with or without DNAMEs that other questions brought into the cache.
  local function is_right(case, lines)
    for index, line in ipairs(lines) do
      if not is_expected(case, line, index) then
        return false
      end
    end
    return #lines == #case.expected or #lines == #case.from_cache
  end

  -- Where it differs from what was expected, a lookup failed.
  local function harmless(case, lines, failed)
    for index = 1, math.max(#lines, #case.expected) do
      local at = lines[index] and index or 1
      if not is_expected(case, lines[at], index) and not failed[at] then
        return false
      end
    end
    return true
  end

  it("plan says what the RFC says", function()
    local cases = {}
    for number, domain in ipairs(domains) do
      local case = { domain = domain, hard = false, described = here:describe(domain), options = {
        insecure_mx = random(3) == 1 and "dane" or "may", require_dane = random(10) == 1,
      } }
      local ask = here:asking(case)
      case.expected = expected_lines(reference.plan(function(name, type)
        case.hard = case.hard or here:is_hard(name)
        case.forged = case.forged or here:is_forged(name)
        return ask(name, type)
      end, domain, case.options))
      case.from_cache = expected_lines(reference.plan(here:asking({}, true), domain, case.options))
      cases[number] = case
    end

    local counts = { dane = 0, encrypt = 0, may = 0, skip = 0, fails = 0 }
    local compared, wrong, again = 0, {}, {}
    plan_all(cases, IN_FLIGHT, function(case, lines, failed)
      compared = compared + #lines
      for index = 1, math.max(#lines, #case.expected) do
        local word = (lines[index] or lines[1]):match("^%S+: (%l+)")
        word = counts[word] and word or "fails"
        counts[word] = counts[word] + 1
      end
      if not harmless(case, lines, failed) then
        wrong[#wrong + 1] = report(case, lines)
      elseif not is_right(case, lines) then
        again[#again + 1] = case
      end
    end)
    -- libunbound fails lookups of a server that was silent to others a moment ago, or when the machine
    -- is slow: once more, alone, and again.
    for _, case in ipairs(again) do
      local last
      for _ = 1, 4 do
        plan_all({ case }, 1, function(_, lines, failed)
          local same = is_right(case, lines)
            or (case.odd or case.forged and support.gives_up or support.slow > 1)
            and harmless(case, lines, failed)
          last = not same and report(case, lines) or nil
        end)
        if not last then break end
      end
      wrong[#wrong + 1] = last
    end
    print(("seed %d: %d combinations, %d plans: %d dane, %d encrypt, %d may, %d skip, %d fail, %d again")
      :format(seed, compared, #cases, counts.dane, counts.encrypt, counts.may, counts.skip,
        counts.fails, #again))
    assert(#wrong == 0, ("seed %d: %d of %d plans are wrong:\n%s"):format(seed, #wrong, #cases,
      table.concat(wrong, "\n", 1, math.min(#wrong, 20))))
    for word, count in pairs(counts) do
      assert.is_true(count > 0, "no " .. word)
    end
  end)
end)
