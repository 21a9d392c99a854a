-- Plans each domain that is read, with query-name minimisation off; answers when it is done.
local nexthop = require "nexthop"

local resolver = assert(nexthop.new {
  forward = arg[2], trust_anchor_file = arg[1], options = { ["qname-minimisation"] = "no" },
})
io.stdout:setvbuf "line"
for domain in io.lines() do
  if domain == "quit" then
    break
  end
  local plan = assert(resolver:plan(domain))
  print(#plan.hosts)
end
