-- What the built module shows and how it is built: one symbol, nothing left to be written over.

local shell = require "tests.support.shell"

local function core_path()
  for template in package.cpath:gmatch "[^;]+" do
    local path = template:gsub("?", "nexthop/core")
    local file = path:find "/build/" and io.open(path)
    if file then
      file:close()
      return path
    end
  end
end

local core = core_path()
local sanitized = core:find("-asan/", 1, true)

-- Functions and data that others could call or replace: not undefined, not the linker's own.
local function exports(path)
  local said, status = shell.run("nm -D --defined-only " .. path)
  assert.equal(0, status, said)
  local names = {}
  for kind, name in said:gmatch "(%a) ([%w_@.]+)\n" do
    if not (sanitized and name:find "^_*[au][sb][a]?[n]") then names[#names + 1] = kind .. " " .. name end
  end
  table.sort(names)
  return names
end

describe("the built module", function()
  it("exports luaopen_nexthop_core and nothing else", function()
    assert.same({ "T luaopen_nexthop_core" }, exports(core))
  end)

  it("is relocated at once and then read-only, with a stack that runs no code", function()
    local dynamic = shell.run("readelf -W -d " .. core)
    assert.truthy(dynamic:find "BIND_NOW" or dynamic:find "FLAGS[^\n]*NOW", dynamic)
    assert.is_nil(dynamic:find "TEXTREL", dynamic)
    local segments = shell.run("readelf -W -l " .. core)
    assert.truthy(segments:find "GNU_RELRO", segments)
    local flags = segments:match "GNU_STACK[^\n]*"
    assert.is_nil(flags:find "RWE", flags)
  end)

  it("checks its stack and the sizes it copies", function()
    if sanitized then
      pending "a sanitizer does that, and more"
      return
    end
    local undefined = shell.run("nm -D --undefined-only " .. core)
    assert.truthy(undefined:find "__stack_chk_fail", undefined)
    assert.truthy(undefined:find "_chk[@\n]", undefined)
  end)
end)
