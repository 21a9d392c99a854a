-- Lua 5.5 takes no assignment to the first variable of a for loop: the module did not load there. Lua 5.4
-- can tell, too, when the variable is declared once more as what it is in 5.5.

local function files()
  local pipe = assert(io.popen "find lua bin examples tests -type f")
  local list = {}
  for path in pipe:lines() do
    local file = assert(io.open(path))
    local text = file:read "*a"
    file:close()
    if path:find "%.lua$" or text:find "^#![^\n]*lua" then list[path] = text:gsub("^#[^\n]*", "") end
  end
  pipe:close()
  return list
end

local function constant(names, rest)
  local declared = names:gsub("[%w_]+", "%0 <const>", 1)
  return ("for %s%sdo local %s = %s; "):format(names, rest, declared, names)
end

local function compile(path, text)
  text = text:gsub("%f[%w]for%s+([%w_, ]-)(%s+in%s[^\n]-%f[%w])do%f[%W]", constant)
  text = text:gsub("%f[%w]for%s+([%w_]-)(%s*=[^\n]-%f[%w])do%f[%W]", constant)
  return load(text, "@" .. path)
end

describe("the variable of a for loop", function()
  if _VERSION ~= "Lua 5.4" and _VERSION ~= "Lua 5.5" then
    return it("is assigned to nowhere", function() pending "only Lua 5.4 and 5.5 can tell" end)
  end

  it("is assigned to nowhere", function()
    local count = 0
    for path, text in pairs(files()) do
      count = count + 1
      assert(compile(path, text))
    end
    assert.is_true(count > 100)
  end)

  it("would be found", function()
    for _, code in ipairs { "for line in f() do line = 1 end", "for a, b in g() do b, a = 1, 2 end",
      "for i = 1, 2 do i = 3 end" } do
      assert.is_truthy(select(2, compile("code", code)):find "const variable")
    end
    assert(compile("code", "for a, b in g() do a.b, b = 1, { a = 2 } end"))
  end)
end)
