-- A list of excluded domains with a nil in it was taken, and held nothing from there on; so were lists of
-- forwarders.
local nexthop = require "nexthop"
local policy = require "nexthop.policy"

describe("a list of excluded domains", function()
  for text, case in pairs {
    ["a nil at the start"] = { 1, { nil, "example.org" } },
    ["a nil within"] = { 2, { "a.example", nil, "b.example" } },
    ["another first number"] = { 1, { [2] = "a.example" } },
    ["a zero"] = { 2, { [0] = "a.example", "b.example" } },
    ["a fraction"] = { 1, { [0.5] = "a.example", [2] = "b.example" } },
  } do
    it("is refused with " .. text, function()
      for _, compile in ipairs { policy.exclusions, policy.options.exclude } do
        local excluded, reason = compile(case[2])
        assert.is_nil(excluded)
        assert.equal(("entry %d: a domain expected, got a nil"):format(case[1]), reason)
      end
    end)
  end

  it("may be empty", function()
    assert.is_false(policy.options.exclude {}("example.org"))
    assert.is_true(policy.options.exclude { "example.org" }("example.org"))
  end)
end)

describe("a list of forwarders", function()
  it("is refused with a nil within", function()
    assert.has_error(function() nexthop.new { forward = { "127.0.0.1@1", nil, "127.0.0.2@1" } } end,
      "bad option 'forward' to 'new' (entry 2 is a nil, not a string)")
  end)
end)
