-- A secure alias into an insecure zone is the TLSA base domain alone (RFC 7672 section 2.2.2). When the
-- lookup of A failed and that of AAAA was answered, A was asked again at the end of the aliases, and the
-- status of the initial alias was then looked up at that end, where there is no alias: the denial counted
-- as "the alias is insecure", and plan said `may`. Who could have the answer of one question dropped
-- could have DANE left out. With AAAA failing it was right.
local support = require "tests.support"
local lab = support.lab

local TLSA = "TLSA 3 1 1 ${server.spki.sha256}\n"

-- The hosts of odds.: what is at their names. All lead into ins., which is not signed.
local hosts = {
  ["both-families"] = "CNAME both.ins.",
  ["no-ip6"] = "CNAME four.ins.",
  ["two-aliases"] = "CNAME step\nstep CNAME both.ins.",
  ["over-insecure"] = "CNAME alias.ins.",
  ["over-dname"] = "CNAME both.below\nbelow DNAME ins.",
}

describe("a secure alias into an insecure zone, with one family failing", function()
  local stub

  setup(function()
    local text = {}
    for name, aliases in pairs(hosts) do
      text[#text + 1] = ("%s %s\n_25._tcp.%s %s"):format(name, aliases, name, TLSA)
      text[#text + 1] = ("d-%s MX 10 %s\n"):format(name, name)
    end
    lab:add_zones {
      { name = "odds", text = table.concat(text) },
      { name = "ins", signed = false, text = "both A 198.18.0.7\nboth AAAA 2001:db8::7\n"
        .. "four A 198.18.0.7\nalias CNAME both\n" },
    }
    stub = lab:stub()
    stub["odds."], stub["ins."] = lab.address, lab.address
  end)
  before_each(support.reset)
  after_each(support.close)
  teardown(function() lab:clear() end)

  for name in pairs(hosts) do
    for _, type in ipairs { "A", "AAAA" } do
      for _, action in ipairs { "servfail", "nodata" } do -- a forged denial is bogus in a signed zone
        it(("is still the base domain: %s, %s %s"):format(name, type, action), function()
          local host = name .. ".odds"
          lab:rule { name = host, type = type, action = action }
          for _, domain in ipairs { "d-" .. host, "[" .. host .. "]" } do
            for _, minimise in ipairs { "no", "yes" } do
              local resolver = support.resolver { stub = stub,
                options = { ["qname-minimisation"] = minimise } }
              local found = assert(resolver:plan(domain)).hosts[1]
              assert.same({ "dane", host, { host } }, { found.tls, found.sni,
                found.names and { found.names[1] } })
              assert.same({ true, false }, { found.host_authentic, found.expanded_authentic })
            end
          end
        end)
      end
    end
  end
end)
