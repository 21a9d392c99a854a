-- More than 128 connections at once, between two turns of the server, and the rest got EAGAIN: for
-- rspamd, which opens one for each domain and does not wait, that was a finding `failure`.
local uv = require "luv"
local servers = require "tests.support.server"

describe("connections while nexthop-server is busy", function()
  it("wait, 500 of them", function()
    local server = servers.start()
    server.handle:kill "sigstop"
    local pipes, connected, failed = {}, 0, {}
    for i = 1, 500 do
      pipes[i] = uv.new_pipe(false)
      pipes[i]:connect(server.path, function(err)
        connected = connected + 1
        failed[#failed + 1] = err
      end)
    end
    servers.wait_for("connections", function() return connected == 500 end)
    server.handle:kill "sigcont"
    for _, pipe in ipairs(pipes) do pipe:close() end
    server:finish()
    assert.same({}, failed)
  end)
end)
