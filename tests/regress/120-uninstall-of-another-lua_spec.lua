-- `make uninstall LUA=luajit`, which takes the plugin of rspamd away, removed the programs of Lua 5.4 and
-- their man pages and units with them; so did it with what `make install LUA=luajit` had left alone.
local root = debug.getinfo(1, "S").source:match "^@(.*)/tests/regress/[^/]*$" or "."

local function exists(path)
  local file = io.open(path, "r")
  if file then file:close() end
  return file ~= nil
end

describe("make uninstall", function()
  local folder
  local programs = { "/bin/nexthop", "/sbin/nexthop-server",
    "/libexec/opensmtpd/filter-nexthop", "/libexec/opensmtpd/table-nexthop" }
  local manual, plugin = "/share/man/man8/nexthop-server.8", "/etc/rspamd/plugins.d/nexthop.lua"

  local function put(path, text)
    os.execute(("mkdir -p '%s'"):format((folder .. path):match "^(.*)/"))
    local file = assert(io.open(folder .. path, "w"))
    file:write(text, "\n")
    file:close()
  end

  local function uninstall(lua)
    local command = ("cd '%s' && MAKEFLAGS= make -s uninstall LUA=%s DESTDIR='%s' PREFIX=/usr 2>&1")
      :format(root, lua, folder)
    local pipe = assert(io.popen(command))
    local text = pipe:read "*a"
    pipe:close()
    return text
  end

  local function there(path)
    return exists(folder .. path)
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
    for _, program in ipairs(programs) do put("/usr" .. program, "#!/usr/bin/env lua5.4") end
    put("/usr" .. manual, ".Dd")
    put(plugin, "--")
  end)
  after_each(function() os.execute(("rm -rf '%s'"):format(folder)) end)

  it("leaves the programs of another Lua, and what belongs to them", function()
    local text = uninstall "luajit"
    for _, program in ipairs(programs) do
      assert(there("/usr" .. program), program)
      assert(text:find(program .. ": stays", 1, true), text)
    end
    assert(there("/usr" .. manual))
    assert(not there(plugin))
  end)

  it("takes away those of its own Lua, and not the plugin of rspamd, which runs LuaJIT", function()
    uninstall "lua5.4"
    for _, program in ipairs(programs) do assert(not there("/usr" .. program), program) end
    assert(not there("/usr" .. manual))
    assert(there(plugin))
  end)
end)
