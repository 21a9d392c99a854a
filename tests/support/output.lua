-- busted output handler of tests/run: what failed and what was skipped, in
-- words; the counts go to the file named by NEXTHOP_TEST_COUNTS, so that a
-- process that dies on the way is told from one that had nothing to do.
return function()
  local busted = require("busted")
  local handler = require("busted.outputHandlers.base")()
  local counts_file = os.getenv("NEXTHOP_TEST_COUNTS")

  local function text_of(message)
    if type(message) == "string" then
      return message
    elseif message == nil then
      return "no message"
    end
    return require("pl.pretty").write(message)
  end

  local function indent(text)
    return (text:gsub("\n+$", ""):gsub("[^\n]+", "    %0"))
  end

  local function tell(kind, result)
    local trace = result.element.trace or result.trace or {}
    local where = trace.short_src and (trace.short_src .. ":" .. trace.currentline .. ": ") or ""
    io.write("  ", kind, ": ", where, result.name, "\n")
    if result.message ~= nil then
      io.write(indent(text_of(result.message)), "\n")
    end
    if kind == "ERROR" and trace.traceback then
      io.write(indent(trace.traceback), "\n")
    end
  end

  -- The name of the test that is running, for whoever looks at a hang or a crash.
  local function test_start(element)
    if counts_file then
      local file = assert(io.open(counts_file .. ".running", "w"))
      file:write(handler.getFullName(element), "\n")
      file:close()
    end
    return nil, true
  end

  local function suite_end()
    local failed = handler.failuresCount + handler.errorsCount
    for _, result in ipairs(handler.failures) do
      tell("FAILED", result)
    end
    for _, result in ipairs(handler.errors) do
      tell("ERROR", result)
    end
    for _, result in ipairs(handler.pendings) do
      tell("skipped", result)
    end
    io.write(("%d passed, %d failed, %d skipped\n")
      :format(handler.successesCount, failed, handler.pendingsCount))
    io.flush()
    if counts_file then
      local file = assert(io.open(counts_file, "w"))
      file:write(handler.successesCount, " ", failed, " ", handler.pendingsCount, "\n")
      file:close()
    end
    return nil, true
  end

  busted.subscribe({ "test", "start" }, test_start)
  busted.subscribe({ "suite", "end" }, suite_end)
  return handler
end
