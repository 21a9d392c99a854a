-- An alias at the TLSA name that leads into an unsigned zone does not count, whatever is there. It was
-- told as "no TLSA record", with the advice to publish one where the alias stands.
local cjson = require "cjson"
local support = require "tests.support"
local program = require "tests.support.program"
local files = require "tests.support.files"

describe("TLSA records that are not signed", function()
  setup(function()
    program.lab = support.lab
  end)
  before_each(support.reset)
  after_each(files.remove)

  it("are told as that", function()
    local r = program.run { "--check", "mx-ts2insecure.example" }
    assert.equal(1, r.status)
    support.contains(r.out, "mend  mx-ts2insecure.example 10 ts2insecure.example: "
      .. "what there is at _25._tcp.ts2insecure.example is not signed, and does not count: ")
    for _, arguments in ipairs { { "mx-ts2insecure.example" }, { "--tlsa", "ts2insecure.example" },
      { "--explain", "mx-ts2insecure.example" } } do
      support.contains(program.run(arguments).out, "no TLSA record", " that is secure")
    end
  end)

  it("and those that are not there as before", function()
    support.contains(program.run({ "--check", "nodane.example" }).out,
      "it is signed, but has no TLSA record: publish one such as 3 1 1 at _25._tcp.mx.nodane.example")
    support.contains(program.run({ "--explain", "mx-tlsanodata.example" }).out,
      "TLSA of _25._tcp.tlsanodata.example: no TLSA record (secure)")
  end)

  it("show no trace in the JSON of --check", function()
    local r = program.run { "--check", "--json", "nodane.example" }
    assert.is_nil(cjson.decode(r.out).trace)
  end)
end)
