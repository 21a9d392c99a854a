-- promtool, the program of Prometheus that checks pages of metrics, from Debian's package.
local files = require "tests.support.files"
local shell = require "tests.support.shell"

local M = {}

--- The path of the program.
function M.path()
  local path, status = shell.run "tests/lab/tool-path 'promtool|prometheus' promtool"
  assert(status == 0, path)
  return (path:gsub("%s+$", ""))
end

--- Checks a page of metrics. Returns the status and what promtool says: 0 and "" where it accepts the page.
function M.check(page)
  local said, status = shell.run(("%s check metrics <%s"):format(shell.quote(M.path()),
    shell.quote(files.new(page))))
  return status, said
end

return M
