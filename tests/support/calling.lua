-- What the specs of calls share.
local support = require "tests.support"
local lab = support.lab

local calling = {}

--- Options of a resolver that meets a server which says nothing about these names.
function calling.silence(name)
  return lab:rule { name = name or "dane.example", action = "silent" }
end

--- A callback that notes that it ran, and the list of { result, err }.
function calling.recorder()
  local list = {}
  return function(...) list[#list + 1] = { n = select("#", ...), ... } end, list
end

--- Drives as an event loop does, without blocking calls.
function calling.drive(r, done)
  local rounds = 0
  while not done() do
    rounds = rounds + 1
    assert(rounds < 1e6, "never done")
    r:process()
  end
end

calling.methods = { "gather_destinations", "gather_ips", "gather_tlsa", "plan" }

return calling
