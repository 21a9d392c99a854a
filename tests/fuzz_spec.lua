-- The fuzzers in Lua, a few hundred rounds each from a new seed. `make fuzz` lets them run for longer.
local child = require "tests.child"

describe("the fuzzer of", function()
  for target, rounds in pairs { filter = 150, server = 150, config = 150 } do
    it(("%s finds nothing in %d rounds"):format(target, rounds), function()
      os.execute "mkdir -p build/fuzz"
      local output, status = child.run(nil, { args = ("tests/fuzz/%s.lua %d"):format(target, rounds) })
      print(output)
      assert.equal(0, status, output)
      assert.truthy(output:find(("%s: %d rounds, none failed"):format(target, rounds), 1, true), output)
    end)
  end
end)
