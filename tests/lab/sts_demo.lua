-- Mail domains with MTA-STS for `make demo`: one of each mode, and one whose policy forgets a host. A web
-- server on 127.0.0.0/8 serves their policies.
--
--   local policies = require("tests.lab.sts_demo").start()      -- in the lab of lab.shared()
--   for _, case in ipairs(policies.cases) do print(case.domain, case.introduction) end
--   policies.port, policies.ca_file                             -- for --sts-port and --ca-file
--   policies.stop()
local sts_world = require "tests.support.sts_world"

local M = {}

local cases = {
  { "enforce", "The mode enforce: mail goes to hosts that the policy names, with a valid certificate.",
    { policy = { mode = "enforce", mx = { "*.@" } } } },
  { "testing", "The mode testing: nothing is required yet, and reports say what would fail.",
    { policy = { mode = "testing", mx = { "mx.@" } },
      records = '_smtp._tls.@. TXT "v=TLSRPTv1\\; rua=mailto:tls-reports\\064testing.policies.example"' } },
  { "none", "The mode none: the domain has had a policy, and takes it back.",
    { policy = { mode = "none" } } },
  { "forgotten", "The mode enforce, and a new host that the policy does not name.",
    { policy = { mode = "enforce", mx = { "mx.@" } }, mx = { "mx.@", "new.@" } } },
}

--- Adds the zone, and starts the web server.
function M.start()
  local world = sts_world.new("policies.example", 92)
  local self = { cases = {} }
  for number, case in ipairs(cases) do
    self.cases[number] = { domain = world:domain(case[1], case[3]), introduction = case[2] }
  end
  world:start()
  self.port, self.ca_file = world.server.port, world.root.file
  function self.stop() world:stop() end
  return self
end

return M
