-- A bogus alias was `servfail` when what lies behind it is longer than libunbound follows, or a loop.
local support = require "tests.support"
local lab = support.lab

describe("a bogus alias", function()
  setup(function()
    local text = { "a13 MX 10 a13", "a13 A 192.0.2.1", "_25._tcp.long CNAME a1", "_25._tcp.loop CNAME l1" }
    for n = 1, 12 do text[#text + 1] = ("a%d CNAME a%d"):format(n, n + 1) end
    text[#text + 1] = "long CNAME a1\nloop CNAME l1\nl1 CNAME l2\nl2 CNAME l1\nshort CNAME a13\n"
    local corrupt = {}
    for _, name in ipairs { "long", "loop", "short", "_25._tcp.long", "_25._tcp.loop" } do
      corrupt[name .. ".bogusalias.example. CNAME"] = true
    end
    lab:add_zones { { name = "bogusalias.example", text = table.concat(text, "\n"), corrupt = corrupt } }
  end)
  before_each(support.reset)
  after_each(support.close)

  for _, name in ipairs { "short", "long", "loop" } do
    it("is bogus whatever lies behind it: " .. name, function()
      local resolver = support.resolver()
      local host = name .. ".bogusalias.example"
      for _ = 1, 2 do -- cold, then warm
        for _, call in ipairs { "gather_destinations", "gather_ips", "plan" } do
          local err = support.failed("bogus", resolver[call](resolver, host))
          support.contains(err.message, host)
        end
        if name ~= "short" then
          local err = support.failed("bogus", resolver:gather_tlsa(host))
          assert.is_true(err.dane_required)
        end
      end
    end)
  end
end)
