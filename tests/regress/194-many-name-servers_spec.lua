-- All name servers of all zones of a domain were opened at once, each with two resolvers, and stayed open
-- until the check had ended. A zone whose name servers have thousands of addresses, such as that of somebody
-- else's mail host, made thousands of resolvers in one turn of the loop: nexthop-monitor answered nobody
-- meanwhile, and had no memory or descriptors left.
local authoritative = require "nexthop.programs.nexthop.authoritative"
local cjson = require "cjson"
local new_driver = require "nexthop.luv.driver"
local nexthop = require "nexthop"
local program = require "tests.support.program"
local servers = require "nexthop.doctor.servers"
local states = require "nexthop.doctor.states"
local support = require "tests.support"
local tasks = require "nexthop.doctor.tasks"
local uv = require "luv"
local lab = support.lab

local OPEN_AT_A_TIME = 8
local zone = "manyservers.example"

-- Stands in for nexthop.new, and counts the resolvers that are open.
local function counter()
  local new, turn_handle = nexthop.new, uv.new_prepare()
  local self = { open = 0, made = 0, most = 0, in_turn = 0, most_in_turn = 0, log = {} }
  turn_handle:start(function() self.in_turn = 0 end)
  turn_handle:unref()
  nexthop.new = function(options)
    local resolver, err = new(options)
    if not resolver then return nil, err end
    self.open, self.made, self.in_turn = self.open + 1, self.made + 1, self.in_turn + 1
    self.most = math.max(self.most, self.open)
    self.most_in_turn = math.max(self.most_in_turn, self.in_turn)
    local proxy = {}
    function proxy.close()
      self.open = self.open - 1
      return resolver:close()
    end
    function proxy._lookup(_, name, lookup_options, done)
      self.log[#self.log + 1] = "asks"
      return resolver:_lookup(name, lookup_options, function(...)
        self.log[#self.log + 1] = "has an answer"
        done(...)
      end)
    end
    return setmetatable(proxy, { __index = function(_, key)
      return function(_, ...) return resolver[key](resolver, ...) end
    end })
  end
  function self.stop()
    nexthop.new = new
    turn_handle:close()
    uv.run() -- until it is closed
  end
  return self
end

-- Checks the zone, which has its name servers at these addresses.
-- @return the findings, and what the counter says
local function check(addresses, settings)
  local options = lab:options()
  options.stub[zone .. "."], options.timeout = addresses, settings and settings.timeout
  local resolver = assert(nexthop.new(options))
  local count, found = counter(), nil
  tasks.run(function(task)
    local one = { resolver = options, timeout = settings and settings.timeout, critical = 3, now = os.time(),
      left = function() end }
    local driver
    driver = new_driver(uv, resolver, function()
      resolver:process()
      driver:arm()
    end)
    one.driver = driver
    found = authoritative.check(task, resolver, zone, { { port = 25 } }, one)
    count.open_at_end = count.open
    driver:close()
  end)
  uv.run()
  count.stop()
  resolver:close()
  assert.is_true(count.open_at_end <= 1) -- that one asks for the name servers without validation
  assert.equal(0, count.open)
  return found, count
end

-- A server that never answers: its socket and its address.
local function silent(i)
  local socket, ip = uv.new_udp(), ("127.83.0.%d"):format(i)
  assert(socket:bind(ip, 0))
  return socket, ("%s@%d"):format(ip, socket:getsockname().port)
end

describe("a zone with many name servers", function()
  setup(function()
    lab:clear()
    lab:add_zones { { name = zone, text = "@ MX 10 mx\nmx A 192.0.2.77\n" } }
  end)
  after_each(support.close)

  it("is asked by a few resolvers at a time, which are closed when their server has answered", function()
    local addresses = {}
    for i = 1, 24 do addresses[i] = lab.address end
    local found, count = check(addresses)
    assert.same({}, found)
    assert.equal(2 * #addresses, count.made)
    assert.is_true(count.most <= 2 * OPEN_AT_A_TIME, tostring(count.most))
    assert.equal(2, count.most_in_turn)
  end)

  it("whose name servers are silent has the others wait", function()
    local sockets, addresses = {}, {}
    for i = 1, 12 do sockets[i], addresses[i] = silent(i) end
    local found, count = check(addresses, { timeout = 1 })
    -- one more asks for the name servers without validation
    for _, socket in ipairs(sockets) do socket:close() end
    uv.run()
    assert.same({ 12, "server-silent" }, { #found, found[12].name })
    assert.equal(2 * OPEN_AT_A_TIME + 1, count.most)
  end)

  it("costs one timeout for a silent server, which is asked with and without validation at once", function()
    local socket, address = silent(1)
    local found, count = check({ address }, { timeout = 1 })
    socket:close()
    uv.run()
    assert.equal("server-silent", found[1].name)
    -- before these, something asks for the name servers of the zone
    assert.equal("asks asks has an answer has an answer", table.concat(count.log, " ", #count.log - 3))
  end)

  it("is not asked without validation when the resolver that validates cannot be made", function()
    local new, err = nexthop.new, nil
    nexthop.new = function(options) -- luacheck: ignore
      if options.trust_anchor then return nil, { code = "no_memory", message = "no memory" } end
      return new(options)
    end
    tasks.run(function(task)
      local ds = "\0\1\13\2" .. ("x"):rep(32)
      err = select(2, servers.visit(task, { name = zone, secure = true, ds = { ds } },
        { name = "ns.example", address = lab.address }, nil, function() end, error))
    end)
    uv.run()
    nexthop.new = new -- luacheck: ignore
    assert.equal("no_memory", err and err.code)
  end)

  it("makes no resolvers when the deadline has come", function()
    local count, err = counter(), nil
    tasks.run(function(task)
      local one = { name = "ns.example", address = lab.address }
      err = select(2, servers.visit(task, { name = zone }, one, nil, function() return 0 end, error))
    end)
    uv.run()
    count.stop()
    assert.same({ 0, true }, { count.made, err.expired })
  end)

  it("is not asked at all of its addresses, which is a finding and no GO", function()
    local text = { "@ MX 10 mx", "mx A 192.0.2.77" }
    for i = 1, 40 do text[#text + 1] = ("ns A 127.83.1.%d"):format(i) end
    lab:add_zones { { name = "wide.example", text = table.concat(text, "\n") .. "\n" } }
    local r = program.run { "--check", "--authoritative", "--json", "--timeout", "0.3", "wide.example" }
    local names, partial = {}, nil
    for _, finding in ipairs(cjson.decode(r.out).findings) do
      names[finding.name] = (names[finding.name] or 0) + 1
      if finding.name == "not-all-checked" then partial = finding end
    end
    assert.equal(32, names["server-silent"], r.out)
    assert.same({ "warning", "wide.example" }, { partial.severity, partial.subject })
    assert.equal("only 32 addresses of the name servers of wide.example are asked, and it has 9 more "
      .. "addresses, and nothing is known of what those say", partial.text)
    local list
    tasks.run(function(task)
      list = states.of(task, { name = zone, servers = {}, left_over = partial.text }, "mx", "TLSA", {})
    end)
    assert.same({ { server = "a name server", failed = partial.text } }, list)
  end)
end)
