-- An answer of something that is no nexthop-server, valid JSON of another shape, ended the client's
-- process: luv does so when a callback raises.
local files = require "tests.support.files"
local uv = require "luv"

describe("a client whose server answers what makes no sense", function()
  local path, server

  before_each(function()
    path = files.path()
    server = uv.new_pipe(false)
    assert(server:bind(path))
  end)
  after_each(function()
    server:close()
    uv.run "nowait"
    files.remove()
  end)

  it("gets an error", function()
    local reply
    server:listen(5, function()
      local pipe = uv.new_pipe(false)
      server:accept(pipe)
      pipe:read_start(function(_, chunk)
        if chunk then pipe:write(reply .. "\n") else pipe:close() end
      end)
    end)
    for _, op in ipairs { "plan", "gather_tlsa", "sender" } do
      for _, answer in ipairs {
        '{"id":1}', '{"id":1,"result":5}', '{"id":1,"result":"text"}', '{"id":1,"error":"text"}',
        '{"id":1,"error":{"failed":{"ip4":{"failed":5}}}}', '{"id":1,"error":{"records":[5]}}',
      } do
        reply = answer
        local client = require("nexthop.client").new(path)
        local result, err = client[op](client, "dane.example")
        assert.is_nil(result, answer)
        assert.equal("servfail", err.code, answer)
        assert.is_false(err.permanent)
        client:close()
      end
    end
    reply = '{"id":1,"result":{"hosts":[{"records":[{"data":1}]}]}}'
    local client = require("nexthop.client").new(path)
    local _, err = client:plan "dane.example"
    assert.equal("servfail", err.code)
    client:close()
  end)
end)
