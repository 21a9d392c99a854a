-- An unbound.conf with an auto-trust-anchor-file, such as Debian's, was refused with the hint to name the
-- file as trust_anchor_file although it was named already, and the program hinted at an option of the module.
local nexthop = require "nexthop"
local program = require "tests.support.program"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("An unbound.conf with an auto-trust-anchor-file", function()
  local path, refused

  setup(function()
    program.lab = lab
  end)
  before_each(function()
    support.reset()
    path = files.new(('server:\n auto-trust-anchor-file: "%s"\n'):format(lab.anchor_file))
    refused = path .. " has an auto-trust-anchor-file, over which libunbound may end the process: use a "
      .. "configuration without that line"
  end)
  after_each(files.remove)

  it("is refused with a hint at trust_anchor_file, where none is named", function()
    local resolver, err = nexthop.new { unbound_conf = path }
    assert.is_nil(resolver)
    assert.equal("unbound_conf: " .. refused .. ", and name the file as trust_anchor_file instead",
      err.message)
  end)

  it("is refused without it, where the anchor is named, or none is wanted", function()
    for _, options in ipairs { { trust_anchor_file = lab.anchor_file }, { trust_anchor = lab.anchor },
      { trust_anchor_file = false } } do
      options.unbound_conf = path
      local resolver, err = nexthop.new(options)
      assert.is_nil(resolver)
      assert.equal("unbound_conf: " .. refused, err.message)
    end
  end)

  it("is refused by the program in words of its own", function()
    local r = program.run({ "--unbound-conf", path, "dane.example" }, { bare = true })
    assert.same({ 64, "nexthop: --unbound-conf: " .. refused .. ", and name the file with --anchor "
      .. "instead\n" },
      { r.status, r.err })
    r = program.run({ "--unbound-conf", path, "--anchor", lab.anchor_file, "dane.example" },
      { bare = true })
    assert.same({ 64, "nexthop: --unbound-conf: " .. refused .. "\n" }, { r.status, r.err })
  end)
end)
