-- nexthop declares itself how libunbound uses an event base, and checks at the first start that it is so.
-- otherlayout.so stands in front of libunbound and uses the base in another way.
local preload = require "tests.support.preload"
local shell = require "tests.support.shell"

-- Prints what nexthop.new says in a process of its own, and its second answer.
local script = [[
local nexthop = require "nexthop"
for _ = 1, 2 do
  local resolver, err = nexthop.new { trust_anchor_file = false, forward = "127.0.0.1@9" }
  print(resolver and "opened" or err.code, err and err.message)
end
]]

local function open_with(layout)
  local lua, library = os.getenv "NEXTHOP_LUA" or arg[-1], preload.library("otherlayout", pending)
  local said, status = shell.run(("%s LD_PRELOAD=%s %s -e %s"):format(
    layout and "NEXTHOP_TEST_LAYOUT=" .. layout or "", library, lua, shell.quote(script)))
  assert.equal(0, status, said)
  return said
end

-- Why each of them is refused, as patterns. Releases of libunbound start events in another order.
local unknown = "a function that is for signals or for Windows, or that is not known"
local reasons = {
  magic = { "it asks for no event" },
  signal = { unknown },
  longer = { unknown },
  timer = { "a time%-out that is no time", "a timer of an unknown base" },
  free = { "no end of an event" },
  answer = { "a result with arguments of another kind" },
}

local function line_of(reason)
  return "config\tlibunbound %d[%w.]* does not fit this build of nexthop: it uses an event base in another "
    .. "way %(" .. reason .. "%); use another version of libunbound, and report this\n"
end

describe("a libunbound whose event base has another layout", function()
  for layout, possible in pairs(reasons) do
    it("is refused with a message: " .. layout, function()
      local said = open_with(layout)
      local is_told = false
      for _, reason in ipairs(possible) do
        is_told = is_told or said:find("^" .. line_of(reason):rep(2) .. "$") ~= nil
      end
      assert.is_true(is_told, said)
    end)
  end

  it("is told from the one that is known", function()
    assert.equal("opened\tnil\nopened\tnil\n", open_with(nil))
  end)
end)
