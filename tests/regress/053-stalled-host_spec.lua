-- A host that does something else for a while finds answers and libunbound's time-outs together: the
-- answers were taken for lost, asked for again, and after a second time the lookup had failed.
local support = require "tests.support"
local lab = support.lab

before_each(support.reset)
after_each(support.close)

describe("a host that is away while answers come", function()
  it("has them, and nothing is asked twice", function()
    local r = support.resolver()
    -- so that the keys are there, and the server is known to be quick
    assert.is_table(r:plan "dane.example")
    assert.is_table(r:gather_ips "mx50.hundred.example")
    lab:reset()
    local ran = 0
    for n = 1, 20 do
      r:gather_ips(("mx%d.hundred.example"):format(n), { network = "ip4" }, function(ips, err)
        assert(ips, err)
        ran = ran + 1
      end)
    end
    lab:wait("mx20.hundred.example", "A")
    os.execute "sleep 0.6"
    repeat r:process() until r:timeout() ~= 0
    assert.equal(20, ran)
    assert.equal(20, lab:total())
  end)
end)
