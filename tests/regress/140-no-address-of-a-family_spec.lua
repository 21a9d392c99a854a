-- A host without AAAA that was asked for its IPv6 addresses alone "has no address".
local support = require "tests.support"

before_each(support.reset)
after_each(support.close)

it("names the family that was asked for", function()
  for _, case in ipairs {
    { "ip6", "only4.example", "has no IPv6 address" },
    { "ip4", "only6.example", "has no IPv4 address" },
    { "ip", "nothing.example", "has no address" },
  } do
    local host = case[2]
    local ips, err = support.resolver():gather_ips(host, { network = case[1] })
    assert.is_nil(ips)
    assert.equal("not_found", err.code)
    assert.equal(("%s: %s %s"):format(host, host, case[3]), err.message)
  end
end)
