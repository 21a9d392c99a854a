-- A link-local nameserver of a resolv.conf lost its scope and could not be asked, one that is no address
-- was a "syntax error" of nobody, and ::1 in another spelling was no local one.
local files = require "tests.support.files"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

describe("a nameserver of a resolv.conf", function()
  before_each(support.reset)
  after_each(function()
    support.close()
    files.remove()
  end)

  local function takes(text)
    local resolver, err = nexthop.new { resolv_conf = files.new(text), trust_anchor = lab.anchor }
    if not resolver then return nil, err end
    resolver:close()
    return true
  end

  for what, text in pairs {
    ["link-local"] = "nameserver fe80::1%lo\n",
    ["with a comment, a tab and no end of line"] = "options edns0\n\tnameserver\t127.0.0.1 # here",
    ["with CR LF"] = "; made by hand\r\nnameserver 127.0.0.1\r\n",
    ["with something behind it"] = "nameserver 127.0.0.1;\n",
  } do
    it("is taken: " .. what, function() assert.is_true(takes(text)) end)
  end

  for _, address in ipairs { "foo", "127.1", "[::1]:53", "256.1.1.1" } do
    it(address .. " alone is refused by its name", function()
      local err = support.failed("config", takes("nameserver " .. address .. "\n"))
      support.contains(err.message, "resolv_conf", "nameserver '" .. address .. "' is no address")
    end)
  end
end)

describe("a local address in another spelling", function()
  before_each(support.reset)
  after_each(support.close)

  it("is asked like ::1", function()
    if not pcall(lab.listen, lab, "::1", { forward = true }) then
      pending "this machine has no ::1"
      return
    end
    local resolver = assert(nexthop.new {
      forward = "0:0:0:0:0:0:0:1@" .. lab.port, trust_anchor_file = lab.anchor_file,
    })
    assert.is_true(assert(resolver:gather_destinations "dane.example").expanded_next_hop_authentic)
    resolver:close()
  end)
end)
