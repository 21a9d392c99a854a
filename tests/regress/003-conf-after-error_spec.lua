-- After a syntax error in one unbound.conf, libunbound's parser could lose a part of the next one: its
-- trust anchor, say, and nothing was validated. (Found by tests/fuzz/config.lua.)
local child = require "tests.support.child"
local files = require "tests.support.files"
local support = require "tests.support"

describe("an unbound.conf after one with a syntax error", function()
  before_each(support.reset)
  after_each(files.remove)

  for what, text in pairs {
    ["an error in the middle"] = "server:\n  stub-addr: 127.0.0.1@9\nauth-zone:\n  name: v\n",
    ["a quote that does not end"] = "server:\n  verbosity: \"0\n",
    ["a value that is missing"] = "server:\n  verbosity:",
    ["a value that is wrong"] = "server:\n  infra-host-ttl: x\n",
  } do
    it("is read whole or not at all: " .. what, function()
      local output, status = child.run([[
        local address, anchor, bad, good = ...
        local nexthop = require "nexthop"
        local stub = {}
        for zone in ("." .. " example. optout.example."):gmatch "%S+" do stub[zone] = address end
        for _ = 1, 3 do
          assert(not nexthop.new { stub = stub, unbound_conf = bad, trust_anchor_file = anchor })
          local resolver, err = nexthop.new { stub = stub, unbound_conf = good }
          if resolver then
            print(assert(resolver:gather_destinations "dane.example").expanded_next_hop_authentic)
            resolver:close()
          else
            print((err.message:find("after a syntax error in another", 1, true) and "refused") or err)
          end
        end
        -- without such a file all is as ever
        local resolver = assert(nexthop.new { stub = stub, trust_anchor_file = anchor })
        print(assert(resolver:gather_destinations "dane.example").expanded_next_hop_authentic)
      ]], nil, support.lab.address, support.lab.anchor_file, files.new(text),
        files.new(("server:\n  prefetch: yes\n  trust-anchor-file: %q\n"):format(support.lab.anchor_file)))
      assert.equal(0, status, output)
      local first = output:match "^%S+"
      assert.truthy(first == "true" or first == "refused", output)
      assert.equal((first .. "\n"):rep(3) .. "true\n", output)
    end)
  end
end)
