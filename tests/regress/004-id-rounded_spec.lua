-- nexthop-server gave a request's id back rounded to 14 digits. (Found by tests/fuzz/server.lua.)
local cjson = require "cjson"
local protocol = require "nexthop.server.protocol"

describe("a number in an answer", function()
  for _, number in ipairs { 0.1, 0.30000000000000004, 9007199254740994, 1e300, -5e-324, 1 / 3, 7 } do
    it(("is what it was: %.17g"):format(number), function()
      assert.equal(number, cjson.decode(protocol.encode { id = number }).id)
    end)
  end
end)
