-- What `nexthop --check` says of a domain of the lab: for the specs of its advice.
--
--   local advice = require "tests.support.advice"
--   advice.of("d.example")                          -- "mx.d.example: what is to be mended", without "mend"
--   advice.of("d.example", { "-6" }, { bare = true })
local program = require "tests.support.program"

local advice = {}

--- The one line about a domain, which is not content.
-- @param options more options of the program
-- @param how options of program.run
function advice.of(domain, options, how)
  local arguments = { "--check", domain }
  for _, option in ipairs(options or {}) do
    arguments[#arguments + 1] = option
  end
  local r = program.run(arguments, how)
  local line = r.out:match "^mend  ([^\n]*)\n$"
  assert(line and r.status == 1, ("%s: status %s: %s%s"):format(domain, r.status, r.out, r.err))
  return line
end

--- Asserts that the line about a domain ends so, whatever names the host before it.
function advice.is(expected, domain, ...)
  local line = advice.of(domain, ...)
  assert(line:sub(-#expected - 2) == ": " .. expected, ("%s: %q, not %q"):format(domain, line, expected))
end

return advice
