-- Temporary files and folders of a test.
--
--   local files = require "tests.support.files"
--   after_each(files.remove)
--   local path = files.new "text"       -- also files.path(), files.folder()
--   files.read(path)
local shell = require "tests.support.shell"

local files = {}
local paths = {}
local ENOENT = 2

local function keep(path)
  paths[#paths + 1] = path
  return path
end

--- Writes a file, there or not.
function files.write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
  return path
end

--- What is in a file.
function files.read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

--- A new file with this text, or an empty one: its path.
function files.new(text)
  return files.write(keep(os.tmpname()), text or "")
end

--- A path where nothing is: for a socket or a FIFO, say.
-- @param suffix of its name
function files.path(suffix)
  local path = os.tmpname()
  os.remove(path)
  return keep(path .. (suffix or ""))
end

--- A new folder: its path.
function files.folder()
  local path = files.path()
  assert(shell.run("mkdir " .. shell.quote(path)) == "")
  return path
end

--- For after_each: takes away all that was made here, with what is in it.
function files.remove()
  for _, path in ipairs(paths) do
    local gone, _, number = os.remove(path)
    if not gone and number ~= ENOENT then shell.run("rm -rf " .. shell.quote(path)) end
  end
  paths = {}
end

return files
