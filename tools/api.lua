-- tools/api.lua html | man | check - the documentation of the API from its annotations.
--
--   html    prints the page
--   man     prints nexthop(3): man/nexthop.3 as it is, or a new one of today if that is not what it should be
--   check   compares the annotations with the module (run it with the build: make lua-env), and man/nexthop.3
--           with the annotations; prints what differs and fails
-- Run from the top of the tree.
package.path = "tools/?.lua;" .. package.path
local annotations = require "api.annotations"

local page = "man/nexthop.3"

local function contents(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read "*a"
  file:close()
  return text
end

local months = "JanFebMarAprMayJunJulAugSepOctNovDec"

-- The page there is if it is right, nil if not. What it says must not depend on the day, so its date stays.
local function current_page(api)
  local text = contents(page)
  local month, day, year = text:match "%.Dd (%a+) (%d+), (%d+)"
  if not year then return nil end
  local date = ("%s-%02d-%02d"):format(year, (months:find(month:sub(1, 3)) + 2) / 3, day)
  return require("api.man").page(api, date) == text and text or nil
end

local commands = {}

function commands.html(api)
  io.write(require("api.html").page(api))
end

function commands.man(api)
  io.write(current_page(api) or require("api.man").page(api, os.date "!%Y-%m-%d"))
end

function commands.check(api)
  local wrong = require("api.check").differences(api)
  if not current_page(api) then
    wrong[#wrong + 1] = page .. ": is not what the annotations say; `make docs` writes it"
  end
  for _, text in ipairs(wrong) do print(text) end
  os.exit(#wrong == 0 and 0 or 1)
end

local command = commands[arg[1]]
if not command then
  io.stderr:write "usage: tools/api.lua html | man | check\n"
  os.exit(2)
end
command(annotations.read())
