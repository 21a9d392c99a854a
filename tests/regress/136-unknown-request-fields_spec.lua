-- A field of a request that the server does not know, such as a `deadline` beside `op`, was ignored.
local servers = require "tests.support.server"
local filter = require "tests.support.filter"

setup(filter.prepare)

it("a request with a field that is none is refused", function()
  local server = servers.start {}
  local c = server:connect()
  for field, request in pairs {
    deadline = { op = "plan", domain = "dane.example", deadline = 1 },
    host = { op = "plan", domain = "dane.example", host = "dane.example" },
    domain = { op = "gather_ips", host = "mx1.dane.example", domain = "dane.example" },
    port = { op = "stats", port = 25 },
    finding = { op = "sender", domain = "dane.example", finding = "ok", options = {} },
  } do
    request.id = field
    c:send(request)
    local answer = c:receive()
    assert.equal(field, answer.id)
    assert.equal("bad_request", answer.error.code)
    assert.is_true(answer.error.permanent)
    assert.matches(("^the op '%s' has no field '%s'; there are: id, op, options"):format(request.op, field),
      answer.error.message)
  end
  c:send { id = 1, op = "stats" }
  assert.equal(5, c:receive().result.bad_requests)
  c:close()
  assert.equal(0, server:finish())
end)
