-- A client that went before its answer was written, as a resolver that is closed, ended the lab by SIGPIPE,
-- and all specs after it failed.
describe("the lab", function()
  it("goes on when it writes to a client that is gone", function()
    local lab = require("tests.lab.lab").start()
    finally(function() lab:stop() end)
    assert(os.execute(("kill -s PIPE %d"):format(lab.pid)))
    assert.equal(0, lab:total())
  end)
end)
