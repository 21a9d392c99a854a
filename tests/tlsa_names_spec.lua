-- gather_tlsa_names: mox's GatherTLSANames, branch by branch.
local nexthop = require "nexthop"

-- The names for what is given; the rest as of a domain and its MX host that are no aliases.
local function names(given)
  local all = {
    have_mx = true, expanded_next_hop_authentic = true, expanded_tlsa_base_domain_authentic = true,
    orig_next_hop = "domain.example", expanded_next_hop = "domain.example",
    orig_tlsa_base_domain = "mx.example", expanded_tlsa_base_domain = "mx.example",
  }
  for key, value in pairs(given) do
    all[key] = value
  end
  return nexthop.gather_tlsa_names(all)
end

-- mox's Go, line by line.
local function mox(a)
  if not a.have_mx then
    if not a.expanded_tlsa_base_domain_authentic
      or a.orig_tlsa_base_domain == a.expanded_tlsa_base_domain then
      return { a.orig_tlsa_base_domain }
    end
    return { a.expanded_tlsa_base_domain, a.orig_tlsa_base_domain }
  elseif a.expanded_next_hop_authentic then
    local l = {}
    if a.expanded_tlsa_base_domain_authentic then
      l = { a.expanded_tlsa_base_domain }
    end
    if a.expanded_tlsa_base_domain ~= a.orig_tlsa_base_domain then
      l[#l + 1] = a.orig_tlsa_base_domain
    end
    l[#l + 1] = a.orig_next_hop
    if a.orig_next_hop ~= a.expanded_next_hop then
      l[#l + 1] = a.expanded_next_hop
    end
    return l
  end
  return { a.orig_next_hop }
end

describe("gather_tlsa_names", function()
  it("is the base domain and the next hop of a secure MX", function()
    assert.same({ "mx.example", "domain.example" }, names {})
  end)

  it("adds what they are aliases of", function()
    assert.same({ "mx.example", "domain.example", "real.example" },
      names { expanded_next_hop = "real.example" })
    assert.same({ "host.example", "mx.example", "domain.example" },
      names { expanded_tlsa_base_domain = "host.example" })
    assert.same({ "host.example", "mx.example", "domain.example", "real.example" },
      names { expanded_next_hop = "real.example", expanded_tlsa_base_domain = "host.example" })
  end)

  it("leaves out an expanded base domain that is not authentic", function()
    assert.same({ "mx.example", "domain.example" }, names {
      expanded_tlsa_base_domain = "host.example", expanded_tlsa_base_domain_authentic = false })
    -- Even the host itself: plan() does not.
    assert.same({ "domain.example" }, names { expanded_tlsa_base_domain_authentic = false })
    assert.same({ "domain.example", "real.example" }, names {
      expanded_tlsa_base_domain_authentic = false, expanded_next_hop = "real.example" })
  end)

  it("is the original next hop alone behind an insecure MX", function()
    assert.same({ "domain.example" }, names { expanded_next_hop_authentic = false })
    assert.same({ "domain.example" }, names { expanded_next_hop_authentic = false,
      expanded_next_hop = "real.example", expanded_tlsa_base_domain = "host.example" })
  end)

  it("is the base domain and what it is an alias of without an MX", function()
    assert.same({ "mx.example" }, names { have_mx = false })
    assert.same({ "host.example", "mx.example" },
      names { have_mx = false, expanded_tlsa_base_domain = "host.example" })
    assert.same({ "mx.example" }, names { have_mx = false,
      expanded_tlsa_base_domain = "host.example", expanded_tlsa_base_domain_authentic = false })
    assert.same({ "host.example", "mx.example" }, names { have_mx = false,
      expanded_tlsa_base_domain = "host.example", expanded_next_hop_authentic = false,
      expanded_next_hop = "real.example" })
  end)

  it("is mox's function for every combination", function()
    local both = { true, false }
    for _, mx in ipairs(both) do
      for _, hop in ipairs(both) do
        for _, base in ipairs(both) do
          for _, expanded_hop in ipairs { "domain.example", "real.example", "mx.example" } do
            for _, expanded_base in ipairs { "mx.example", "host.example", "domain.example" } do
              local given = {
                have_mx = mx, expanded_next_hop_authentic = hop,
                expanded_tlsa_base_domain_authentic = base,
                orig_next_hop = "domain.example", expanded_next_hop = expanded_hop,
                orig_tlsa_base_domain = "mx.example",
                expanded_tlsa_base_domain = expanded_base,
              }
              assert.same(mox(given), nexthop.gather_tlsa_names(given))
            end
          end
        end
      end
    end
  end)

  it("takes names in any spelling and answers in one", function()
    assert.same({ "xn--bcher-kva.example", "mx.example", "domain.example" }, names {
      orig_next_hop = "Domain.Example.", expanded_next_hop = "DOMAIN.example",
      orig_tlsa_base_domain = "MX.example.", expanded_tlsa_base_domain = "Bücher.example" })
  end)

  it("returns a list of its own at each call", function()
    local first = names {}
    first[1] = "changed.example"
    assert.same({ "mx.example", "domain.example" }, names {})
  end)

  it("raises when misused", function()
    for _, case in ipairs {
      { { have_mx = 1 }, "bad option 'have_mx' (boolean expected, got 1)" },
      { { have_mx = "yes" }, "bad option 'have_mx' (boolean expected, got 'yes')" },
      { { expanded_next_hop_authentic = "true" },
        "bad option 'expanded_next_hop_authentic' (boolean expected, got 'true')" },
      { { orig_next_hop = true }, "bad option 'orig_next_hop' (string expected, got boolean)" },
      { { orig_next_hop = "no host" }, "bad option 'orig_next_hop' ('no host' is no host name)" },
      { { expanded_next_hop = "a..example" },
        "bad option 'expanded_next_hop' ('a..example' is no host name)" },
      { { orig_tlsa_base_domain = 1 }, "bad option 'orig_tlsa_base_domain' (string expected, got 1)" },
      { { base_domain = "mx.example" }, "unknown option 'base_domain' to 'gather_tlsa_names'" },
    } do
      assert.has_error(function()
        names(case[1])
      end, case[2])
    end
    assert.has_error(function()
      nexthop.gather_tlsa_names()
    end, "bad argument #1 to 'gather_tlsa_names' (table expected, got no value)")
    assert.has_error(function()
      nexthop.gather_tlsa_names("domain.example")
    end, "bad argument #1 to 'gather_tlsa_names' (table expected, got string)")
  end)
end)
