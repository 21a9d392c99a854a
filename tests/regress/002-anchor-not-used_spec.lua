-- A trust anchor of an algorithm that this libunbound lacks was taken, and nothing was validated. An
-- error could quote a value of several lines. (Found by tests/fuzz/config.lua.)
local nexthop = require "nexthop"
local support = require "tests.support"

describe("a trust anchor", function()
  before_each(support.reset)
  after_each(support.close)

  for what, anchor in pairs {
    ["for Ed448"] = ". IN DS 1 16 2 " .. ("0a"):rep(32),
    ["for RSA with SHA-1"] = ". IN DS 1 5 2 " .. ("0a"):rep(32),
    ["that is a SHA-1 digest"] = ". IN DS 1 8 1 " .. ("0a"):rep(20),
    ["that is an Ed448 key"] = ". IN DNSKEY 257 3 16 " .. ("AwEAAa"):rep(10),
  } do
    it(what .. " is refused, as nothing might be validated", function()
      local err = support.failed("config", nexthop.new { stub = support.lab:stub(), trust_anchor = anchor })
      support.contains(err.message, "trust_anchor", "cannot be used")
    end)
  end

  for number, algorithm in ipairs { 8, 10, 13, 14, 15 } do
    it(("of algorithm %d is used: a wrong one makes all bogus"):format(algorithm), function()
      local resolver = support.resolver {
        trust_anchor_file = false,
        trust_anchor = (". IN DS %d %d 2 "):format(number, algorithm) .. ("0a"):rep(32),
      }
      support.failed("bogus", resolver:gather_destinations "dane.example")
    end)
  end
end)

describe("an error of nexthop.new", function()
  it("is one line, whatever it quotes", function()
    for _, options in ipairs {
      { trust_anchor = "one\ntwo" }, { forward = "one\ntwo" }, { resolv_conf = "/one\ntwo\0three" },
      { forward = "127.0.0.1", trust_anchor_file = false, options = { ["one\ntwo"] = "x" } },
    } do
      support.failed("config", nexthop.new(options))
    end
  end)
end)
