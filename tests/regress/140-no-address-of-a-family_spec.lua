-- A host without AAAA that was asked for its IPv6 addresses alone "has no address".
local support = require "tests.support"

before_each(support.reset)
after_each(support.close)

it("names the family that was asked for", function()
  local hosts = { ip6 = "only4.example", ip4 = "only6.example", ip = "nothing.example" }
  for network, words in pairs {
    ip6 = "has no IPv6 address", ip4 = "has no IPv4 address", ip = "has no address",
  } do
    local host = hosts[network]
    local ips, err = support.resolver():gather_ips(host, { network = network })
    assert.is_nil(ips)
    assert.equal("not_found", err.code)
    assert.equal(("%s: %s %s"):format(host, host, words), err.message)
  end
end)
