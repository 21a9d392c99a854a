-- A table with names where nexthop.new wants a list was taken for an empty one, and said nothing.
local nexthop = require "nexthop"

describe("a table with names is no list of strings:", function()
  for key, value in pairs {
    forward = { a = "127.0.0.1" }, trust_anchor = { a = "x" },
    options = { ["msg-cache-size"] = { size = "4m" } }, stub = { ["example."] = { a = "127.0.0.1" } },
  } do
    it(key, function()
      local options = { forward = "127.0.0.1", trust_anchor_file = false }
      options[key] = value
      local ok, err = pcall(nexthop.new, options)
      assert.is_false(ok)
      assert.matches("bad option '" .. key .. ".*list of strings expected", tostring(err))
    end)
  end
end)
