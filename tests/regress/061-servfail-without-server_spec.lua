-- Where no server was there to answer, as without a network, the error said SERVFAIL, as if one had.
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

it("a failed lookup says that perhaps no server answers", function()
  lab:rule { name = "dane.example", action = "refused" }
  local _, err = support.resolver({ timeout = 5 }):gather_destinations "dane.example"
  assert.equal("servfail", err.code)
  support.contains(err.message, "MX of dane.example", "(SERVFAIL, or no server answers)")
end)
