-- The error of a call that close() ends did not say which one that was.
local support = require "tests.support"
local lab = support.lab

describe("close()", function()
  before_each(support.reset)
  after_each(support.close)

  for _, call in ipairs { "gather_destinations", "gather_ips", "gather_tlsa", "plan" } do
    it("tells " .. call .. " what it was asked about", function()
      lab:rule { name = "*", action = "silent" }
      local resolver = support.resolver()
      local result, err
      resolver[call](resolver, "Nodane.example.", function(...) result, err = ... end)
      resolver:close()
      support.failed("closed", result, err)
      support.contains(err.message, "nodane.example: ")
    end)
  end
end)
