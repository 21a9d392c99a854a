-- Memory that runs out: every allocation of the module's own fails once in turn (oom_script.lua), with
-- oom.so (oom.c) in front of malloc.
local lab = require("tests.lab.lab").shared()

describe("when memory runs out", function()
  it("answers no_memory or a Lua error, crashes nowhere, leaks nothing and goes on", function()
    if (os.getenv "NEXTHOP_LUA" or ""):find "/results" then
      pending "a sanitizer or valgrind stands in front of malloc itself"
      return
    end
    lab:clear()
    local lua = os.getenv "NEXTHOP_LUA" or arg[-1]
    local oom = package.cpath:match "[^;]*/build/[^;?]*" .. "oom.so"
    local child = assert(io.popen(("LD_PRELOAD=%s %s tests/oom_script.lua %s %s 2>&1; echo status $?")
      :format(oom, lua, lab.forward_address, lab.anchor_file)))
    local output = child:read "*a"
    child:close()
    assert.matches("\nstatus 0\n$", "\n" .. output)
    local count = output:match "^ok%s+(%d+)"
    assert.is_truthy(count, output)
    assert.is_true(tonumber(count) > 100, output)
  end)
end)
