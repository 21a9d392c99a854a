--- What filter-nexthop(8) and nexthop-server(8) share: their options, what they print, how they end.
--
--   local program = require("nexthop.programs.program").new("filter-nexthop", usage)
--   local options = program:options(arg, "c", "nvV")
local core = require "nexthop.core"

local M = {}

--- Exit statuses, as sysexits.h has them.
M.OK, M.FAILED, M.USAGE, M.UNAVAILABLE, M.IO = 0, 1, 64, 69, 74

local Program = {}
Program.__index = Program

--- Makes a program. Call it before luv is loaded: libuv ends the process when a descriptor of its own
-- is one of 0 to 2, so that those which are closed are filled first.
-- @param name for messages
-- @param usage text
function M.new(name, usage)
  core.fill_descriptors()
  return setmetatable({ name = name, usage = usage, exit = os.exit }, Program)
end

--- Ends the program with a message.
function Program:fail(status, format, ...)
  io.stderr:write(self.name, ": ", format:format(...), "\n")
  self.exit(status)
end

--- Prints text on standard output, or ends the program when that cannot be done.
function Program:say(text)
  local written, reason = io.stdout:write(text)
  if written then written, reason = io.stdout:flush() end
  if not written then self:fail(M.IO, "standard output: %s", reason) end
end

--- Ends the program when one of these Lua modules is missing.
function Program:need(...)
  for _, name in ipairs { ... } do
    if not pcall(require, name) then
      self:fail(M.UNAVAILABLE, "the Lua module '%s' is not installed (Debian: lua-%s)", name, name)
    end
  end
end

--- Reads the command line. -h prints the usage.
-- @param words the arguments
-- @param with_value letters of options that take a path, "lc"
-- @param without letters of the others, "nV"
-- @return table of options by letter
function Program:options(words, with_value, without)
  local options, i = {}, 1
  while words[i] do
    local letters = words[i]:match "^%-(.+)$"
    if not letters then
      self:fail(M.USAGE, "%s: no arguments but options are taken\n%s", words[i], self.usage)
    end
    if letters == "h" or letters == "-help" then
      self:say(self.usage)
      self.exit(M.OK)
    end
    while letters ~= "" do
      local letter = letters:sub(1, 1)
      letters = letters:sub(2)
      if with_value:find(letter, 1, true) then
        if letters == "" then
          i = i + 1
          letters = words[i] or self:fail(M.USAGE, "-%s wants a path\n%s", letter, self.usage)
        end
        options[letter], letters = letters, ""
      elseif without:find(letter, 1, true) then
        options[letter] = true
      else
        self:fail(M.USAGE, "unknown option -%s\n%s", letter, self.usage)
      end
    end
    i = i + 1
  end
  return options
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
  self.exit(M.OK, true) -- elsewhere luv's handles may be open, which does not survive the state's end
end

--- Says what was left out of the configuration of a resolver.
function Program:warn(resolver)
  for _, warning in ipairs(require("nexthop").warnings(resolver)) do
    io.stderr:write(self.name, ": ", warning, "\n")
  end
end

--- Prints that a configuration is right, and ends the program.
-- @param path nil: the defaults
-- @param options of the resolver, which have been checked
function Program:print_checked(path, options)
  local resolver = require("nexthop").new(options)
  if resolver then
    self:warn(resolver)
    resolver:close()
  end
  self:say((path or "defaults") .. ": configuration OK\n")
  self.exit(M.OK)
end

return M
