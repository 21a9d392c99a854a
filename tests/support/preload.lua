-- Libraries of the tests that stand in front of another one (LD_PRELOAD). They are built beside the core.
--
--   local library = preload.library("clock", pending)     -- the path of clock.so
local M = {}

--- Whether ASan or valgrind stands in front of the libraries of this run. No other library can do so then.
M.is_taken = (os.getenv "NEXTHOP_LUA" or ""):find "/results" ~= nil

--- The path of a library. Where it cannot be preloaded, the test that asks for it is skipped.
-- @param pending busted's, which ends the test
function M.library(name, pending)
  if M.is_taken then pending "a sanitizer or valgrind stands in front of the library itself" end
  return assert(package.cpath:match "[^;]*/build/[^;?]*") .. name .. ".so"
end

return M
