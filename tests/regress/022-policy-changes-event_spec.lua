-- A policy that changed its event or the session in it changed the decision, or left the request
-- without an answer. And two requests of a session that nobody announced were both answered.
local files = require "tests.support.files"
local filter = require "tests.support.filter"
local support = require "tests.support"
local lab = require("tests.lab.lab").shared()

local remote = "192.0.2.9:1234"

setup(filter.prepare)
after_each(filter.reset)

describe("a policy that changes its event", function()
  it("and says nothing leaves it at what is configured", function()
    local f = filter.start { config = [[
      local changes = {
        finding = function(e) e.finding = "ok" end,
        role = function(e) e.role = "recipient" end,
        domain = function(e) e.domain = nil end,
        session = function(e) e.session = nil end,
        err = function(e) e.err = setmetatable({}, { __index = function() error "err" end }) end,
        open = function(e) e.session.open, e.session.id = nil, nil end,
        all = function(e)
          for key in pairs(e.session) do e.session[key] = nil end
          for key in pairs(e) do e[key] = nil end
        end,
        raise = function(e) e.session = nil error "raised" end,
        nonsense = function(e) e.session, e.finding = nil, nil return 5 end,
      }
      return { resolver = resolver, policy = function(e) return changes[e.address:match "^[^@]*"](e) end }
    ]] }
    for _, change in ipairs {
      "finding", "role", "domain", "session", "err", "open", "all", "raise", "nonsense",
    } do
      assert.matches("^reject|550 5%.7%.27 Sender domain nullmx%.example ",
        f:decide("mail-from", change .. "@nullmx.example", remote), change)
    end
    assert.equal(0, f:finish())
    local _, logged = f.log:gsub("session=%x+ role=sender finding=null_mx action=reject "
      .. "domain=nullmx%.example address=%l+@nullmx%.example source=192%.0%.2%.9:1234 ", "")
    assert.equal(9, logged)
    local _, wrong = f.log:gsub("session=%x+ error=policy finding=null_mx ", "")
    assert.equal(2, wrong)
  end)

  it("changes no other's error", function()
    lab:rule { name = "mx.nodane.filter.example", action = "silent" }
    -- libunbound is to wait for longer than we do
    local f = filter.start { config = ([[
      resolver.options = { ["infra-cache-min-rtt"] = "5000", ["infra-cache-max-rtt"] = "5000" }
      return { resolver = resolver, deadline = %g, policy = function(e)
        e.err.message = "changed"
        return "log"
      end } ]]):format(0.2 * support.slow) }
    for _, session in ipairs { "aaaa", "bbbb" } do
      f:connect(session, remote)
      f:ask(session, "mail-from", "a@nodane.filter.example")
    end
    f:wait(function() return f.count == 2 end)
    assert.equal(0, f:finish())
    local _, unchanged = f.log:gsub('message="mx.nodane.filter.example: the deadline came before ', "")
    assert.equal(2, unchanged)
  end)
end)

describe("a session's table", function()
  it("is the handlers' to write in", function()
    local f = filter.start { args = {}, program = files.new [[
      local filter = require("nexthop.opensmtpd").new()
      filter:on("ehlo", function(request)
        for key in pairs(request.session) do request.session[key] = nil end
        request.session.open = request.parameter
        request:proceed()
      end)
      filter:run()
    ]] }
    f:connect("aaaa", remote)
    for _, name in ipairs { "one.example", "two.example" } do
      assert.equal("proceed", f:answer("aaaa", f:ask("aaaa", "ehlo", name)))
    end
    f:report("link-disconnect", "aaaa")
    assert.equal(0, f:finish())
    assert.equal("", f.log)
  end)
end)

describe("a session that nobody announced", function()
  it("has one question open in a phase, like any other", function()
    lab:rule { name = "silent.example", action = "silent" }
    local f = filter.start { config = { deadline = 1 } }
    f:ask("aaaa", "mail-from", "user@silent.example")
    local token = f:ask("aaaa", "mail-from", "user@nullmx.example")
    assert.matches("^reject|550 ", f:answer("aaaa", token))
    assert.equal(0, f:finish())
    assert.equal(1, f.count)
  end)
end)
