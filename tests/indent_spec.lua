-- tools/indent.lua, which indents the Lua files of this tree.
local files = require "tests.support.files"
local shell = require "tests.support.shell"

after_each(files.remove)

local lua = os.getenv "NEXTHOP_LUA" or arg[-1]

-- Runs the tool. Answers what it says, and its status.
local function run(...)
  local words = { shell.quote(lua), "tools/indent.lua" }
  for _, word in ipairs { ... } do words[#words + 1] = shell.quote(word) end
  return shell.run(table.concat(words, " "))
end

local good = [==[
#!/usr/bin/env lua
-- a comment
local a, b =
  1, 2
local list = {
  one = function(x) return x end,
  two = a
    and b
    or { "x",
      "y" },
  -- before the end
}

if a == 1
  and b == 2 then
  print(("%d %s"):format(a, [[
      As it is
  ]]), function()
    return list
  end)
elseif b then
  repeat
    a = a + 1
  until a > 3
    or b
else -- nothing
  for _, each in ipairs {
    1, 2,
  } do
    print "end" --[[ if ]] print(each)
  end
end
return list
]==]

describe("tools/indent.lua", function()
  it("says nothing of a file that keeps to the rule", function()
    assert.same({ "", 0 }, { run(files.new(good)) })
  end)

  it("names each line that does not, and how deep it should be", function()
    local path = files.new "do\n    print(1)\n  end\n"
    assert.same({ path .. ":2: 2 spaces, not 4\n" .. path .. ":3: 0 spaces, not 2\n", 1 }, { run(path) })
  end)

  it("with --fix makes the same of it, however it was indented", function()
    for _, other in ipairs { "\n%2", "\n%1%1%2", "\n   %1%2" } do
      local path = files.new((good:gsub("\n( *)([^%sA%]])", other)))
      assert.same({ "", 0 }, { run("--fix", path) })
      assert.equal(good, files.read(path))
    end
  end)

  it("leaves a file that it cannot read, and says where", function()
    for text, reason in pairs {
      ["do\n)\n"] = "line 2: ), and not end", ["f(\n"] = "no ) at the end",
      ["x = 'a\n"] = "line 1: a string without an end",
    } do
      local path = files.new(text)
      assert.same({ path .. ": " .. reason .. "\n", 1 }, { run("--fix", path) })
      assert.equal(text, files.read(path))
    end
  end)
end)
