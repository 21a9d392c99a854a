-- nexthop.opensmtpd.new_table: the layer on which others can write tables, too.
local files = require "tests.support.files"
local opensmtpd = require "nexthop.opensmtpd"
local protocol = require "nexthop.opensmtpd.table_protocol"
local tables = require "tests.support.table"

after_each(tables.reset)

-- A table that is a program of this text.
local function start(options, text)
  local path = files.new(("local smtpd_table = require(\"nexthop.opensmtpd\").new_table %s\n%s\n"
    .. "smtpd_table:run()\n"):format(options, text))
  return tables.start { program = path, args = {} }
end

describe("another table", function()
  it("registers the services that it has handlers for, and answers what smtpd takes", function()
    local t = start("{}", [[
      smtpd_table:on("alias", function(request)
        if request.query == "root" then return request:found "me" end
        if request.query == "self" then return request:found() end
        if request.query == "twice" then
          request:not_found()
          assert(request:found "again" == nil)
          return request:error "again"
        end
        if request.query == "empty" then return request:found "" end
        if request.query == "lines" then return request:found "a\nb" end
        if request.query == "raise" then error "the handler fails" end
        if request.query == "exit" then os.exit(0) end
        request:error "no\27[2J way"
      end)
      smtpd_table:on("source", function(request)
        if request.operation == "fetch" then request:found "192.0.2.1" end
      end)
    ]])
    assert.same({ "register|alias", "register|source", "register|ready" }, t.other)
    local function lookup(key) return t:answer(t:ask("lookup", "alias", key), "lookup") end
    assert.equal("found|me", lookup "root")
    assert.equal("found", t:answer(t:ask("check", "alias", "root"), "check"))
    assert.equal("found|self", lookup "self")
    assert.equal("not-found", lookup "twice")
    for _, key in ipairs { "empty", "lines", "raise", "exit" } do
      assert.equal("error|the handler failed, see the log of the table", lookup(key), key)
    end
    t:logged "error=alias message=.*a value is not empty"
    t:logged "error=alias message=.*a value is one line"
    t:logged "error=alias message=.*the handler fails"
    t:logged "error=alias message=.*os%.exit"
    assert.equal("error|no?[2J way", lookup "other")
    assert.equal("found|192.0.2.1", t:answer(t:ask("fetch", "source"), "fetch"))
    assert.equal("ok", t:update())
    assert.equal(0, t:finish())
  end)

  it("answers later, and at the deadline what on_deadline says", function()
    local t = start([[{ deadline = 0.1, on_deadline = function(_, request)
      if request.query == "known" then request:found() end
      if request.query == "raise" then error "at the deadline" end
    end }]], [[
      local uv = require "luv"
      smtpd_table:on("domain", function(request)
        if request.query ~= "soon" then return end
        local timer = uv.new_timer()
        timer:start(10, 0, function() timer:close() request:found() end)
      end)
    ]])
    assert.equal("found", t:check "soon")
    assert.equal("found", t:check "known")
    assert.equal("error|no answer within 0.1 s", t:check "unknown")
    assert.equal("error|no answer within 0.1 s", t:check "raise")
    t:logged "at the deadline"
    assert.equal(0, t:finish())
  end)

  it("says what became of an update", function()
    local t = start([[{ on_update = (function()
      local count = 0
      return function()
        count = count + 1
        if count == 1 then return true end
        if count == 2 then return nil, "no\nfile" end
        if count == 3 then error "the update fails" end
      end
    end)() }]], [[smtpd_table:on("domain", function(request) request:not_found() end)]])
    assert.equal("ok", t:update())
    assert.equal("error|no?file", t:update())
    assert.equal("error|the update failed, see the log of the table", t:update())
    assert.equal("error|the update failed, see the log of the table", t:update()) -- nil and no reason
    assert.equal(0, t:finish())
  end)

  it("needs a service that smtpd knows", function()
    local t = opensmtpd.new_table()
    assert.has_error(function() t:on("domains", print) end, "'domains' is no service of smtpd's tables")
    assert.has_error(function() t:run() end, "a table without a service would end smtpd")
  end)
end)

describe("the lines of tables", function()
  for line, expected in pairs {
    ["table|0.1|1.0|t|check|alias|0a|x|y"] =
      { operation = "check", service = "alias", id = "0a", query = "x|y" },
    ["table|0.1|1.0|t|check|alias|0a"] = { operation = "check", service = "alias", id = "0a", query = "" },
    ["table|0.1|1.0|t|fetch|source|0a"] = { operation = "fetch", service = "source", id = "0a", query = "" },
    ["table|0.1|1.0|t|update|0a"] = { operation = "update", id = "0a", query = "" },
  } do
    it("are taken apart: " .. line, function()
      expected.kind = "request"
      assert.same(expected, protocol.parse(line, "t"))
    end)
  end

  for line, reason in pairs {
    ["table|0.1|1.0|t|check|domain"] = "no id", ["table|0.1|1.0|t|check|domain|"] = "no id",
    ["table|0.1|1.0|t|update|"] = "no id", ["table|0.1|1.0|t"] = "not a request to a table",
    ["table|0.1"] = "not a request to a table", ["tables|x"] = "unknown", [""] = "unknown",
  } do
    it("are refused: " .. line, function() assert.same({ nil, reason }, { protocol.parse(line, "t") }) end)
  end

  it("that are cut have their id whole, or none", function()
    assert.equal("0a", protocol.parse("table|0.1|1.0|t|check|domain|0a|xx", "t", true).id)
    assert.is_nil((protocol.parse("table|0.1|1.0|t|check|domain|0a", "t", true)))
  end)
end)
