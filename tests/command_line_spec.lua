-- Words and lines: what the parser of options and the splitter of lines make of them.
local new_lines = require "nexthop.luv.lines"
local parse = require "nexthop.programs.options"

local usage = [[
usage: x [OPTION ...]
       x -f PATH

Text that mentions --nothing.

  -f PATH, --file PATH  read it
  -n                    check
  -v, --verbose         tell more
  --unbound-conf FILE   a file
]]

describe("the parser of options", function()
  for _, case in ipairs {
    { { "-f", "a", "--file", "b", "--file=c=d", "-fe" }, { file = { "a", "b", "c=d", "e" } }, {} },
    { { "-nv" }, { n = true, verbose = true }, {} },
    { { "-nvfa", "x" }, { n = true, verbose = true, file = { "a" } }, { "x" } },
    { { "--unbound-conf", "-1", "-" }, { unbound_conf = { "-1" } }, { "-" } },
    { { "-n", "--", "-v", "--" }, { n = true }, { "-v", "--" } },
  } do
    it("takes " .. table.concat(case[1], " "), function()
      local given, others = parse(usage, case[1])
      assert.same({ case[2], case[3] }, { given, others })
    end)
  end

  for words, wrong in pairs {
    ["--nothing"] = "unknown option '--nothing'", ["-nx"] = "unknown option '-x'",
    ["--fil a"] = "unknown option '--fil'", ["-f"] = "option '-f' requires an argument",
    ["--file -n"] = "option '--file' requires an argument",
    ["--verbose=1"] = "option '--verbose' does not take arguments",
  } do
    it("refuses " .. words, function()
      local list = {}
      for word in words:gmatch "%S+" do list[#list + 1] = word end
      assert.same({ nil, wrong }, { parse(usage, list) })
    end)
  end
end)

describe("the splitter of lines", function()
  -- Lines with a mark where they were cut, and the rest, of text that comes in pieces of that many bytes.
  local function split(text, size)
    local lines, list = new_lines(5), {}
    for at = 1, #text, size do
      lines:push(text:sub(at, at + size - 1))
      for line, is_cut in lines.next, lines do list[#list + 1] = line .. (is_cut and "!" or "") end
    end
    assert.equal(#text:match "[^\n]*$", lines:length())
    return list, (lines:rest())
  end

  for size = 1, 9 do
    it(("gives the same lines in pieces of %d bytes"):format(size), function()
      local list, rest = split("a\n\n12345\n123456\n1234567890123\nlast one", size)
      assert.same({ "a", "", "12345", "12345!", "12345!" }, list)
      assert.equal("last ", rest)
    end)
  end

  it("goes on with what was not taken", function()
    local lines = new_lines()
    lines:push "a\nb\nc"
    assert.equal("a", (lines:next()))
    lines:push "d\n"
    assert.equal(5, lines:length())
    assert.same({ "b", "cd" }, { (lines:next()), (lines:next()) })
    assert.is_nil(lines:next())
    assert.equal("", (lines:rest()))
  end)
end)
