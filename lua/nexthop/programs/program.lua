--- What the programs share: how they begin, what they print, how they end. The main.lua of each returns
-- main(words) -> exit status.
local core = require "nexthop.core"
local parse = require "nexthop.programs.options"
local utf8 = require "nexthop.json.utf8"

local Program = {}
Program.__index = Program

--- Exit statuses, most of them from sysexits.h.
for name, status in pairs { OK = 0, FAILED = 1, USAGE = 64, UNAVAILABLE = 69, IO = 74, TEMPORARY = 75 } do
  Program[name] = status
end

--- Makes a program. Call it before luv is loaded: libuv ends the process when a descriptor of its own
-- is one of 0 to 2, so that those which are closed are filled first.
-- @param name for messages
-- @param usage text, which also says what the options are: see nexthop.programs.options
function Program.new(name, usage)
  core.fill_descriptors()
  return setmetatable({ name = name, usage = usage, exit = os.exit }, Program)
end

--- Prints a message on standard error; what a terminal would act on is escaped.
function Program:complain(message)
  io.stderr:write(self.name, ": ", utf8.filter(message, function(bytes, code)
    return code == 10 and bytes or utf8.clean(bytes)
  end), "\n")
end

--- Ends the program with a message.
function Program:fail(status, format, ...)
  self:complain(format:format(...))
  self.exit(status)
end

--- Prints text on standard output, or ends the program when that cannot be done.
function Program:say(text)
  local written, reason = io.stdout:write(text)
  if written then written, reason = io.stdout:flush() end
  if not written then self:fail(Program.IO, "standard output: %s", reason) end
end

--- Ends the program when one of these Lua modules is missing.
function Program:need(...)
  for _, name in ipairs { ... } do
    if not pcall(require, name) then
      self:fail(Program.UNAVAILABLE, "the Lua module '%s' is not installed (Debian: lua-%s)", name, name)
    end
  end
end

--- Ends the program, which was called in a wrong way.
function Program:misuse(reason)
  self:fail(Program.USAGE, "%s\n%s", reason, self.usage:match "^(.-)\n\n")
end

--- Reads the command line; --help prints the usage and ends the program.
-- @param takes_names are words that are no options taken?
-- @return the options, the other words; see nexthop.programs.options
function Program:parse(words, takes_names)
  local given, others = parse(self.usage, words)
  if not given then self:misuse(others) end
  if given.help then
    self:say(self.usage)
    self.exit(Program.OK)
  end
  if others[1] and not takes_names then
    self:misuse(("%s: no arguments but options are taken"):format(others[1]))
  end
  return given, others
end

--- Prints the versions of what the program runs on, and ends it.
function Program:print_versions()
  local nexthop = require "nexthop"
  local versions = nexthop.versions()
  local lines = { nexthop._VERSION }
  for _, name in ipairs { "libunbound", "openssl", "libuv", "libidn2", "lua" } do
    lines[#lines + 1] = name .. " " .. versions[name]
  end
  lines[#lines + 1] = "luv " .. require("luv").version_string()
  self:say(table.concat(lines, "\n") .. "\n")
  self.exit(Program.OK, true) -- elsewhere handles of luv may be open, and then the state cannot be closed
end

--- Says what was left out of the configuration of a resolver.
function Program:warn(resolver)
  for _, warning in ipairs(require("nexthop").warnings(resolver)) do self:complain(warning) end
end

--- Ends the program when the file of the metrics cannot be written.
-- @param path of the configuration
function Program:try_metrics_file(path, file)
  local ok, reason = true, nil
  if file then ok, reason = require("nexthop.metrics.file").check(file) end
  if not ok then self:fail(Program.FAILED, "%s: metrics_file: %s", path, reason) end
end

--- Keeps the process to what the program still has to do, where the system has pledge(2) and unveil(2), and
-- ends the program if that fails. Elsewhere it does nothing. No function of a user may run afterwards.
-- @param more promises beside those that every program needs
-- @param folders the folders in which files are still written or removed
function Program:confine(more, folders)
  if not core.has_pledge() then return end
  core.sts() -- loads libcurl, as no code can be loaded later
  local promises = "stdio rpath inet dns" .. (more and " " .. more or "")
    .. (rawget(_G, "jit") and " prot_exec" or "")
  local function done(ok, reason, what)
    if ok == nil then self:fail(Program.UNAVAILABLE, "%s: %s", what, reason) end
  end
  if #folders > 0 then
    promises = promises .. " wpath cpath fattr flock"
    local ok, reason = core.unveil("/", "r")
    done(ok, reason, "unveil /")
    for _, folder in ipairs(folders) do
      ok, reason = core.unveil(folder, "rwc")
      done(ok, reason, "unveil " .. folder)
    end
  end
  local ok, reason = core.pledge(promises)
  done(ok, reason, "pledge")
end

--- The folder of a path.
function Program.folder_of(path)
  local folder = path:match "^(.*)/[^/]*$"
  return folder == "" and "/" or folder or "."
end

--- Prints that a configuration is right, and ends the program.
-- @param path nil: the defaults
-- @param options of the resolver, which have been checked; nil: there is none
function Program:print_checked(path, options)
  local resolver = options and require("nexthop").new(options)
  if resolver then
    self:warn(resolver)
    resolver:close()
  end
  self:say((path or "defaults") .. ": configuration OK\n")
  self.exit(Program.OK)
end

return Program
