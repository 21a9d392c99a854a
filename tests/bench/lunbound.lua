-- The plan as one would write it today on lua-unbound (Debian's lua-unbound 1.0.0): MX, then the
-- addresses of each host, then TLSA where the addresses are secure; all hosts side by side.
--
--   LUA tests/bench/lunbound.lua ANCHOR-FILE FORWARDER
--
-- Commands and answers as in bare.c; plan and naive (its blocking resolve) only. lua-unbound has no
-- stubs, so the lab serves it as a forwarder.
local commands = require "tests.bench.commands"
local lunbound = require "lunbound"

local A, MX, AAAA, TLSA, IN = 1, 15, 28, 52, 1

local context
local function open()
  context = assert(lunbound.new {
    async = true, resolvconf = false, hoststxt = false,
    forward = arg[2], trustfile = arg[1],
    options = {
      ["do-not-query-localhost:"] = "no",
      ["msg-cache-size:"] = "64m", ["rrset-cache-size:"] = "128m",
    },
  })
end

local function read_name(data, position)
  local labels = {}
  while data:byte(position) > 0 do
    local length = data:byte(position)
    labels[#labels + 1] = data:sub(position + 1, position + length)
    position = position + 1 + length
  end
  return table.concat(labels, "."):lower()
end

local function by_preference(a, b)
  return a.pref < b.pref
end

local function read_hosts(answer)
  local hosts = {}
  for k = 1, answer.n or #answer do
    local data = answer[k]
    hosts[k] = { pref = data:byte(1) * 256 + data:byte(2), host = read_name(data, 3) }
  end
  table.sort(hosts, by_preference)
  return hosts
end

local function read_ip(data)
  if #data == 4 then
    return ("%d.%d.%d.%d"):format(data:byte(1, 4))
  end
  local words = {}
  for k = 1, 16, 2 do
    words[#words + 1] = ("%x"):format(data:byte(k) * 256 + data:byte(k + 1))
  end
  return table.concat(words, ":")
end

local function add_ips(host, answer)
  for k = 1, answer.n or #answer do
    host.ips[#host.ips + 1] = read_ip(answer[k])
  end
  host.authentic = host.authentic and answer.secure
end

local function read_records(answer)
  local records = {}
  for k = 1, answer.n or #answer do
    local data = answer[k]
    local usage, selector, match_type = data:byte(1, 3)
    records[k] = { usage = usage, selector = selector, match_type = match_type, data = data:sub(4) }
  end
  return records
end

local function check(answer, err)
  if not answer or answer.bogus or answer.rcode ~= 0 then
    error(err or answer and (answer.bogus or answer.qname), 0)
  end
  return answer
end

local function plan(domain, done)
  context:resolve_async(function(answer, err)
    local result = { domain = domain, hosts = read_hosts(check(answer, err)), authentic = answer.secure }
    local left = #result.hosts
    for _, host in ipairs(result.hosts) do
      host.ips, host.authentic = {}, true
      local waiting = 2
      local function finished()
        left = left - 1
        if left == 0 then
          done(result)
        end
      end
      local function on_ips(ips, ips_err)
        add_ips(host, check(ips, ips_err))
        waiting = waiting - 1
        if waiting == 0 and host.authentic and result.authentic then
          context:resolve_async(function(tlsa, tlsa_err)
            host.records = read_records(check(tlsa, tlsa_err))
            finished()
          end, "_25._tcp." .. host.host, TLSA, IN)
        elseif waiting == 0 then
          finished()
        end
      end
      context:resolve_async(on_ips, host.host, AAAA, IN)
      context:resolve_async(on_ips, host.host, A, IN)
    end
  end, domain, MX, IN)
end

local function resolve(name, type)
  return check(context:resolve(name, type, IN))
end

local function naive_plan(domain)
  local hosts = read_hosts(resolve(domain, MX))
  for _, host in ipairs(hosts) do
    host.ips, host.authentic = {}, true
    add_ips(host, resolve(host.host, AAAA))
    add_ips(host, resolve(host.host, A))
    host.records = read_records(resolve("_25._tcp." .. host.host, TLSA))
  end
  return hosts
end

commands.serve(function()
  open()
  collectgarbage()
end, function(what, names, count, under_way)
  if what == "naive" then
    for k = 1, count do
      naive_plan(names[(k - 1) % #names + 1])
    end
  else
    commands.run(names, count, under_way, function(done)
      local function start(name)
        plan(name, function()
          local following = done()
          if following then start(following) end
        end)
      end
      return start
    end, function() context:wait() end)
  end
end)
os.exit(0)
