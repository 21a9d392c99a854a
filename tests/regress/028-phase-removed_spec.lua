-- A filter with a handler for a phase that smtpd has no more ended smtpd at its start.
local files = require "tests.support.files"
local filter = require "tests.support.filter"

describe("a phase that a version of smtpd has no more", function()
  after_each(filter.reset)

  for version, asked in pairs {
    ["6.6.0"] = true, ["7.6.0"] = true, ["7.8.0-portable"] = true, ["7.9.0-portable"] = false,
    ["7.10.1"] = false, ["8.0"] = false,
  } do
    it(("is %s for from %s"):format(asked and "asked" or "not asked", version), function()
      local f = filter.start { handshake = false, args = {}, program = files.new [[
        local filter = require("nexthop.opensmtpd").new()
        for _, name in ipairs { "help", "wiz", "commit" } do
          filter:on(name, function(request) request:proceed() end)
        end
        filter:run()
      ]] }
      f:send("config|smtpd-version|" .. version, "config|ready")
      f:wait(function() return f.other[#f.other] == "register|ready" end)
      assert.equal(0, f:finish())
      local phases = {}
      for _, line in ipairs(f.other) do
        phases[#phases + 1] = line:match "^register|filter|smtp%-in|(.*)$"
      end
      assert.same(asked and { "help", "wiz", "commit" } or { "help", "commit" }, phases)
    end)
  end
end)
