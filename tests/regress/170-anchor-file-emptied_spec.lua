-- A context that is opened later (src/recheck.c) read the files of the configuration once more. One that
-- had been emptied meanwhile has no anchor, and validates nothing: what was bogus became "insecure", and
-- then all else.
local nexthop = require "nexthop"
local files = require "tests.support.files"
local support = require "tests.support"
local lab = support.lab

describe("a file of the configuration that is changed while the resolver runs", function()
  local path, resolver
  before_each(function()
    support.reset()
    path = files.new()
  end)
  after_each(function()
    if resolver then resolver:close() end
    files.remove()
  end)

  -- The bogus name first: it is what a further context is opened for.
  local function stays_right()
    support.failed("bogus", resolver:gather_destinations "expired.example")
    support.failed("bogus", resolver:gather_destinations "broken.example")
    assert.equal("dane", assert(resolver:plan "mxequal.example").hosts[1].tls)
  end

  for _, kind in ipairs { "empty", "missing" } do
    it("takes no trust away: the anchor file is " .. kind, function()
      files.write(path, files.read(lab.anchor_file))
      local options = lab:options()
      options.trust_anchor_file = path
      resolver = assert(nexthop.new(options))
      assert.equal("dane", assert(resolver:plan "dane.example").hosts[1].tls)
      if kind == "empty" then files.write(path, "") else os.remove(path) end
      stays_right()
    end)
  end

  it("takes no trust away: the unbound.conf is empty", function()
    files.write(path, ("server:\n  do-not-query-localhost: no\n  trust-anchor-file: \"%s\"\n")
      :format(lab.anchor_file))
    local options = lab:options()
    options.trust_anchor_file, options.unbound_conf = nil, path
    resolver = assert(nexthop.new(options))
    assert.equal("dane", assert(resolver:plan "dane.example").hosts[1].tls)
    files.write(path, "")
    stays_right()
  end)
end)
