-- A byte-order mark before an anchor's owner made it one for a name that nothing is below, and nothing was
-- validated. A record as tools print it, with a comment or in parentheses, was refused as trust_anchor; a
-- key with "//" in it was cut there.
local files = require "tests.support.files"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

describe("a trust anchor", function()
  before_each(support.reset)
  after_each(function()
    support.close()
    files.remove()
  end)

  local head, digest = lab.anchor:match "^(.-)(%x+)$"
  local half = #digest / 2
  local halves = { digest:sub(1, half), digest:sub(half + 1) }

  for what, text in pairs {
    ["with a comment behind it"] = lab.anchor .. " ; keytag 20326",
    ["with spaces before it"] = "  " .. lab.anchor,
    ["in parentheses"] = ("%s(\r\n\t%s ; half\r\n\t%s )\r\n"):format(head, halves[1], halves[2]),
  } do
    it(what .. " is used", function()
      local resolver = support.resolver { trust_anchor_file = false, trust_anchor = { text } }
      assert.is_true(assert(resolver:gather_destinations "dane.example").expanded_next_hop_authentic)
    end)
  end

  it("whose owner is no name is refused, as it would be above nothing", function()
    local marked = "\239\187\191" .. lab.anchor
    for option, value in pairs { trust_anchor = marked, trust_anchor_file = files.new(marked .. "\n") } do
      local err = support.failed("config", nexthop.new { stub = lab:stub(), [option] = value })
      support.contains(err.message, option, "has an owner that is no name")
    end
  end)

  it("that is a key cut short is refused, one with \"//\" is not", function()
    local function new(key)
      local file = files.new(". IN DNSKEY 257 3 13 " .. key .. "\n")
      return nexthop.new { stub = lab:stub(), trust_anchor_file = file }
    end
    local key = ("AwEAA//c"):rep(10) .. "AwEAAQ=="
    assert(new(key)):close()
    for _, cut in ipairs { key:sub(1, -3), key:sub(1, 44), key:sub(5) } do
      support.contains(support.failed("config", new(cut)).message, "has no valid key")
    end
  end)
end)
