-- Without lua-luv filter-nexthop and nexthop-server began with a stack traceback, and smtpd ended with
-- the filter, though -n had said that all was well.
local child = require "tests.support.child"
local files = require "tests.support.files"

local function run(program, missing, option)
  return child.run(([[
    package.preload[%q] = function() error "gone" end
    arg = { [0] = %q, %q }
    dofile(arg[0])
  ]]):format(missing, "bin/" .. program, option))
end

describe("a program whose Lua module is missing", function()
  after_each(files.remove)

  for _, case in ipairs {
    { "filter-nexthop", "luv", { "-n", "-v", "-V" } },
    { "nexthop-server", "luv", { "-n", "-l/nonexistent/socket", "-V" } },
    { "nexthop-server", "cjson", { "-n", "-l/nonexistent/socket" } },
  } do
    local program, missing, options = case[1], case[2], case[3]
    it(program .. " says that it is " .. missing, function()
      for _, option in ipairs(options) do
        local text, status = run(program, missing, option)
        assert.equal(("%s: the Lua module '%s' is not installed (Debian: lua-%s)\n")
          :format(program, missing, missing), text)
        assert.equal(69, status)
      end
    end)
  end
end)
