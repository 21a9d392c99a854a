-- A program that was started with a descriptor of 0 to 2 closed was aborted by libuv at its end (134).
local uv = require "luv"
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local servers = require "tests.support.server"

local lab = require("tests.lab.lab").shared()
local lua = os.getenv "NEXTHOP_LUA" or arg[-1]

after_each(files.remove)

-- The status of a command of which these descriptors are closed.
local function status_of(command, closed)
  local file = files.new ""
  os.execute(("sh -c '%s; echo $? >%s' </dev/null >/dev/null 2>&1"):format(command .. closed, file))
  return tonumber(files.read(file))
end

local closings = { " <&-", " >&-", " 2>&-", " <&- >&-", " <&- 2>&-", " >&- 2>&-", " <&- >&- 2>&-" }

describe("with descriptors closed", function()
  for _, closed in ipairs(closings) do
    it("the programs end as they should:" .. closed, function()
      if closed:find(" >&-", 1, true) and lua:find "results%-valgrind" then
        pending "valgrind's own log takes the descriptor 1 that was closed"
        return
      end
      local config = filter.config {}
      local options = (" --resolver %s --anchor %s "):format(lab.forward_address, lab.anchor_file)
      local no_output = closed:find(" >&-", 1, true) and 74 or 0
      local no_input = closed:find("<&-", 1, true) and 74 or 0
      for _, case in ipairs {
        { "bin/filter-nexthop -V", no_output },
        { "bin/filter-nexthop -n -c " .. config, no_output },
        { "bin/filter-nexthop -c " .. config, no_input },
        { "bin/filter-nexthop -x", 64 },
        { "bin/nexthop-server -V", no_output },
        { "bin/nexthop-server -n -c " .. config, no_output },
        { "bin/nexthop-server", 64 },
        { "bin/nexthop" .. options .. "dane.example", no_output },
        { "bin/nexthop" .. options .. "-f -", no_input },
      } do
        local command = ("%s %s"):format(lua, case[1])
        assert.equal(case[2], status_of(command, closed), case[1])
      end
      os.remove(config)
    end)
  end

  it("the server serves, and ends at its signal", function()
    for _, closed in ipairs(closings) do
      local path, config = servers.path(), filter.config {}
      local pid = files.new ""
      local status = files.new ""
      os.execute(("{ sh -c 'echo $$ >%s; exec %s bin/nexthop-server -l %s -c %s%s'; echo $? >%s; } &")
        :format(pid, lua, path, config, closed, status))
      servers.wait_for("the socket", function() return uv.fs_stat(path) end)
      local c = require("nexthop.client").new(path)
      servers.wait_for("an answer", function()
        local plan, err = c:plan "dane.example"
        assert(plan or err.code == "closed", err)
        return plan
      end)
      c:close()
      os.execute("kill " .. files.read(pid))
      servers.wait_for("the end", function() return files.read(status) ~= "" end)
      uv.run "nowait" -- luv must not be left with handles that are half closed
      uv.run "nowait"
      assert.equal(0, tonumber(files.read(status)), closed)
      os.remove(config)
    end
  end)
end)
