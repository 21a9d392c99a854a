-- The fuzzers in Lua, a few rounds each, always the same ones. `make fuzz` takes new ones, for longer.
local child = require "tests.support.child"

describe("the fuzzer of", function()
  for target, rounds in pairs { filter = 150, table = 150, server = 150, config = 150, http = 2000 } do
    it(("%s finds nothing in %d rounds"):format(target, rounds), function()
      os.execute "mkdir -p build/fuzz"
      local output, status = child.run(nil, { args = ("tests/fuzz/%s.lua %d 1"):format(target, rounds) })
      print(output)
      assert.equal(0, status, output)
      assert.truthy(output:find(("%s: %d rounds, none failed"):format(target, rounds), 1, true), output)
    end)
  end
end)
