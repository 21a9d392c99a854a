-- The deploy hooks of examples/acme, called as certbot and acme.sh call them, with two real name servers.
local ca = require "tests.support.ca"
local files = require "tests.support.files"
local name_servers = require "tests.support.name_servers"
local program = require "tests.support.program"
local shell = require "tests.support.shell"
local support = require "tests.support"

local quote = shell.quote
local zone = "roll.example"
local pair = name_servers.new(zone, 44)
local folder, old, new

-- Has the name servers answer with versions of the zone, see name_servers.lua.
local function serve(...)
  for _, version in ipairs { ... } do version.text = "mx A 192.0.2.1\n" .. version.text end
  pair:publish(...)
end


local function publish(age, ...)
  local lines = {}
  for i, text in ipairs { ... } do lines[i] = "_25._tcp.mx TLSA " .. text end
  serve { text = table.concat(lines, "\n"), age = age }
end

-- Runs a script with the settings of the hook. The mail server's reload writes a file.
local function run(script)
  local words = { program.lua, "bin/nexthop" }
  for _, word in ipairs(pair:options()) do words[#words + 1] = word end
  return shell.run(([[
export HOSTS=mx.roll.example LIVE=%s/live PENDING=%s/pending RELOAD='echo reloaded >>%s/log' NEXTHOP=%s
export DEPLOY=examples/acme/deploy-when-safe
(%s)]]):format(folder, folder, folder, quote(table.concat(words, " ")), script))
end

-- What certbot does when it has a new certificate.
local function certbot()
  return run(([[mkdir -p %s/lineage && cp %s %s/lineage/fullchain.pem && cp %s %s/lineage/privkey.pem &&
    RENEWED_LINEAGE=%s/lineage RENEWED_DOMAINS=mx.roll.example examples/acme/certbot-hook]]):format(folder,
    new.chain, folder, new.key, folder, folder))
end

-- What acme.sh does.
local function acme_sh()
  return run((". examples/acme/nexthop.sh; nexthop_deploy mx.roll.example %s %s %s %s"):format(new.key,
    new.file, new.file, new.chain))
end

local function again() return run "examples/acme/deploy-when-safe" end

local function live(name)
  local file = io.open(folder .. "/live/" .. name, "rb")
  return file and file:read "*a", file and file:close()
end

setup(function()
  support.lab:clear()
  support.lab:add_zones { { name = zone, text = "mx A 192.0.2.1\n" } }
  local root = ca.authority { name = "rollover-root" }
  local issuer = ca.authority { name = "rollover-issuer", issuer = root }
  old = ca.leaf { name = "rollover-old", issuer = issuer, names = { "mx.roll.example" } }
  new = ca.leaf { name = "rollover-new", issuer = issuer, names = { "mx.roll.example" } }
end)
teardown(function()
  pair:stop()
  files.remove()
end)
before_each(function() folder = files.folder() end)

for name, client in pairs { certbot = certbot, ["acme.sh"] = acme_sh } do
  describe("the deploy hook of " .. name, function()
    it("installs certificate and key, and reloads, where no sender can refuse them", function()
      publish(864000, ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1))
      local said, status = client()
      assert.equal(0, status, said)
      assert.equal(files.read(new.chain), (live "fullchain.pem"))
      assert.equal(files.read(new.key), (live "privkey.pem"))
      assert.equal("reloaded\n", files.read(folder .. "/log"))
      -- nothing is left to do
      assert.same({ "", 0 }, { again() })
      assert.equal("reloaded\n", files.read(folder .. "/log"))
    end)

    it("keeps the certificate where caches have to forget, and installs it later", function()
      publish(60, ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1))
      local said, status = client()
      assert.equal(0, status, said)
      support.contains(said, "WAIT until")
      assert.is_nil((live "fullchain.pem"))
      local since = tonumber(files.read(folder .. "/pending/since"))
      assert(math.abs(since - os.time()) < 100, since)
      -- an hour has passed since all servers agreed
      files.write(folder .. "/pending/since", ("%d\n"):format(since - 3601))
      said, status = again()
      assert.equal(0, status, said)
      assert.equal(files.read(new.chain), (live "fullchain.pem"))
    end)

    it("says which record to publish, and installs nothing, where there is none", function()
      publish(864000, ca.tlsa(old, 3, 1, 1))
      local said, status = client()
      assert.equal(1, status, said)
      support.contains(said,
        ("NO, publish _25._tcp.mx.roll.example. IN TLSA %s first"):format(ca.tlsa(new, 3, 1, 1)))
      assert.is_nil((live "fullchain.pem"))
      publish(864000, ca.tlsa(old, 3, 1, 1), ca.tlsa(new, 3, 1, 1))
      assert.equal(0, select(2, again()))
      assert.equal(files.read(new.chain), (live "fullchain.pem"))
    end)

    it("does not count the time in which a server lags behind", function()
      serve({ text = "_25._tcp.mx TLSA " .. ca.tlsa(new, 3, 1, 1), serial = 2 },
        { text = "_25._tcp.mx TLSA " .. ca.tlsa(old, 3, 1, 1) })
      local said, status = client()
      assert.equal(0, status, said)
      support.contains(said, "lags behind")
      assert.is_nil(io.open(folder .. "/pending/since"))
    end)
  end)
end
