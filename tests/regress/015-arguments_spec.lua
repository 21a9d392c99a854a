-- An option with a NUL byte was cut there, and the module's functions told what was wrong with their first
-- argument of the second one of '?'.
local nexthop = require "nexthop"
local support = require "tests.support"

describe("an argument", function()
  before_each(support.reset)
  after_each(support.close)

  it("with a NUL is not cut there", function()
    local resolver = support.resolver()
    for _, case in ipairs {
      { "gather_tlsa", "protocol", "tcp\0x" }, { "gather_ips", "network", "ip4\0x" },
      { "plan", "insecure_mx", "dane\0x" },
      { "gather_ips", "dialed_ips", { ["mx1.dane.example"] = { "::1\0x" } } },
    } do
      local call, option, value = case[1], case[2], case[3]
      assert.error_matches(function() resolver[call](resolver, "mx1.dane.example", { [option] = value }) end,
        "bad option '" .. option .. "' %(string without a NUL expected")
    end
  end)

  for _, call in ipairs { "gather_destinations", "gather_ips", "gather_tlsa", "plan" } do
    it("of the module's " .. call .. " that is no name is told of as its first", function()
      for _, value in ipairs { 5, {}, false } do
        local ok, message = pcall(function() nexthop[call](value) end)
        assert.is_false(ok)
        support.contains(message, "bad argument #1 to '" .. call .. "'", "name expected, got " .. type(value),
          "015-arguments_spec.lua:")
      end
    end)
  end
end)
