-- `nexthop --check` said "sign the zone of localhost" of MX 0 localhost., and "take it out of the MX" of a
-- domain that has no MX.
local advice = require "tests.support.advice"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("--check of a domain without a mail host", function()
  setup(function()
    program.lab = lab
    lab:add_zones { { name = "nohost.example", text = [[
local       MX 0 localhost.
below       MX 0 mail.localhost.
alias       MX 10 mx.alias
mx.alias    CNAME localhost.
invalid     MX 0 mx.invalid.
neither     TXT "neither MX nor address"
neitheralias CNAME neither
dangling    MX 10 mx.dangling
mx.dangling CNAME nothing
four        MX 10 mx.four
mx.four     A 192.0.2.96
]] } }
  end)
  before_each(support.reset)
  after_each(files.remove)

  local mx = ": let the MX name a host, or publish the null MX (MX 0 .) if no mail is taken"
  local neither = "neither MX records nor an address: add MX records%s that name its mail hosts, or the "
    .. "null MX (MX 0 .) if it takes no mail"
  local expected = {
    ["local.nohost.example"] = "by that name every machine means itself (RFC 6761 6.3)" .. mx,
    ["below.nohost.example"] = "by that name every machine means itself (RFC 6761 6.3)" .. mx,
    ["alias.nohost.example"] = "it is an alias of localhost; by that name every machine means itself "
      .. "(RFC 6761 6.3)" .. mx,
    ["invalid.nohost.example"] = "names that end in .invalid are reserved, and not in the DNS that "
      .. "others see (RFC 6761 6.4)" .. mx,
    localhost = "by that name every machine means itself (RFC 6761 6.3)",
    ["neither.nohost.example"] = "it has " .. neither:format "",
    ["neitheralias.nohost.example"] = "it is an alias of neither.nohost.example, which has "
      .. neither:format " there",
    ["[neither.nohost.example]"] = "it has no address: add A or AAAA records",
    ["mxnothing.example"] = "it has no address: add A or AAAA records, or take it out of the MX",
    ["dangling.nohost.example"] = "it is an alias of nothing.nohost.example, which has no address: add "
      .. "A or AAAA records there, or take it out of the MX",
  }
  for domain, text in pairs(expected) do
    it("says what is so: " .. domain, function()
      advice.is(text, domain)
    end)
  end

  it("does not miss the addresses that were not asked for", function()
    advice.is("it has no IPv6 address, and only those were asked for (-6)", "four.nohost.example",
      { "-6" })
    advice.is("it has no IPv4 address, and only those were asked for (-4)", "mx-only6.example", { "-4" })
  end)
end)
