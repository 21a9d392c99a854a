-- Where the system has pledge(2) and unveil(2), the programs keep themselves to what they still have to do.
-- pledge.so stands for both, and writes down what is promised and what is done against it.
local files = require "tests.support.files"
local lab = require("tests.lab.lab").shared()
local preload = require "tests.support.preload"
local shell = require "tests.support.shell"

local code = (os.getenv "NEXTHOP_LUA_NAME" or ""):find "jit" and " prot_exec" or ""

-- Runs shell text with the stand-in; returns what was printed, the status, and what was promised.
local function run(text)
  local log, library = files.path ".log", preload.library("pledge", pending)
  local before = ("NEXTHOP_TEST_PLEDGE=%s LD_PRELOAD=%s "):format(shell.quote(log), library)
  local said, status = shell.run(before .. text)
  return said, status, files.read(log)
end

local function nexthop(more)
  return ("%s bin/nexthop --resolver %s --anchor %s %s dane.example"):format(
    shell.quote(os.getenv "NEXTHOP_LUA" or arg[-1]), lab.forward_address, lab.anchor_file, more)
end

describe("pledge(2)", function()
  it("lets nexthop read and ask, and write nothing", function()
    local said, status, promised = run(nexthop "")
    assert.equal(0, status, said)
    assert.equal("pledge stdio rpath inet dns tty" .. code .. "\n", promised)
  end)

  it("lets nexthop write in the folder of --sts-cache alone", function()
    local folder = files.folder()
    local said, status, promised = run(nexthop("--sts --sts-cache " .. shell.quote(folder .. "/policies")))
    assert.equal(0, status, said)
    assert.equal(("unveil / r\nunveil %s rwc\n"
      .. "pledge stdio rpath inet dns tty%s wpath cpath fattr flock\n"):format(
        folder, code), promised)
  end)

  it("lets nexthop-server answer, and remove its socket", function()
    local log, folder, library = files.path ".log", files.folder(), preload.library("pledge", pending)
    local path = folder .. "/socket"
    local config = files.new(("return { resolver = { forward = %q, trust_anchor_file = %q } }"):format(
      lab.forward_address, lab.anchor_file))
    local lua = shell.quote(os.getenv "NEXTHOP_LUA" or arg[-1])
    local said, status = shell.run(([[
      NEXTHOP_TEST_PLEDGE=%s LD_PRELOAD=%s %s bin/nexthop-server -l %s -c %s & server=$!
      tail -n +1 -F %s --pid $server 2>/dev/null | grep -q '^pledge'
      SOCKET=%s %s -e 'local c = assert(require("nexthop.client").new(os.getenv "SOCKET"))
             print(assert(c:plan("dane.example")).hosts[1].tls)' 2>&1
      kill $server; wait $server; echo "status $?"; ls %s]]):format(
      shell.quote(log), library, lua, path, config, log, path, lua, folder))
    assert.equal(0, status)
    assert.equal(("nexthop-server: listening on %s\ndane\nstatus 0\n"):format(path), said)
    assert.equal(("unveil / r\nunveil %s rwc\n"
      .. "pledge stdio rpath inet dns unix%s wpath cpath fattr flock\n"):format(
        folder, code), files.read(log))
  end)
end)
