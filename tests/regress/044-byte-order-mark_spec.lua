-- The mark that Windows puts in front of UTF-8 made a comment in the first line a name, and was part of
-- the input that JSON repeats.
local cjson = require "cjson"
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

describe("a file of names with a byte order mark", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  local function objects(text)
    local r, list = program.run({ "--json", "--ordered", "-f", "-" }, { stdin = text }), {}
    for line in r.out:gmatch("[^\n]+") do
      list[#list + 1] = cjson.decode(line)
    end
    return list
  end

  it("is read as one without", function()
    local list = objects("\239\187\191dane.example\r\nnullmx.example\r\n")
    assert.same({ 2, "dane.example" }, { #list, list[1].domain })
    assert.is_nil(list[1].input)
    list = objects("\239\187\191# names\r\ndane.example\r\n")
    assert.same({ 1, "dane.example" }, { #list, list[1].domain })
  end)
end)
