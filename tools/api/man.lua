--- The API as the manual page nexthop(3), in mdoc(7).
local signature = require("api.html").signature

local M = {}

local months = { "January", "February", "March", "April", "May", "June", "July", "August", "September",
  "October", "November", "December" }

-- Text of a line or of an argument: nothing in it is a request or an escape.
local function escape(text)
  return (text:gsub("\\", "\\e"):gsub("^([.'])", "\\&%1"))
end

-- An argument in quotes, in which a word such as `Op` is no macro.
local function quoted(text) return '"' .. escape(text):gsub('"', '\\(dq') .. '"' end

-- Prose, a sentence a line, `code` without its backticks.
local function prose(text)
  local lines = {}
  for line in (text:gsub("`", ""):gsub("([%w)]%.) (%u)", "%1\n%2") .. "\n"):gmatch "([^\n]*)\n" do
    if line ~= "" then lines[#lines + 1] = escape(line) end
  end
  return table.concat(lines, "\n")
end

local function with_type(row)
  local type_text = row.type and (row.optional and row.type .. ", optional" or row.type)
  if not row.name then return type_text or "" end
  return type_text and row.name .. ": " .. type_text or row.name
end

--- @param api of annotations.read
-- @param date "2026-11-27"
-- @return the page
function M.page(api, date)
  local out = {}
  local function put(line) out[#out + 1] = line end
  local blank = true -- right behind a heading, where .Pp has no place

  local function heading(line)
    put(line)
    blank = true
  end

  local function paragraph()
    if not blank then put ".Pp" end
    blank = false
  end

  local function paragraphs(list)
    for _, text in ipairs(list) do
      paragraph()
      put(prose(text))
    end
  end

  local function rows(list)
    put ".Bl -tag -width Ds -compact"
    for _, row in ipairs(list) do
      put(".It " .. quoted(with_type(row)))
      if row.text ~= "" then put(prose(row.text)) end
    end
    put ".El"
    blank = false
  end

  local show = {}

  function show.heading(item) heading(".Sh " .. quoted(item.text:upper())) end

  function show.text(item) paragraphs(item.text) end

  function show.alias(item)
    heading(".Ss " .. quoted(item.name))
    paragraphs(item.text)
    if item.type then put(escape(item.type)) end
    local list = {}
    for i, value in ipairs(item.values) do
      list[i] = { name = '"' .. value.value .. '"', text = value.text }
    end
    rows(list)
  end

  function show.class(item)
    if #item.fields + #item.text + #item.parents == 0 then return end
    heading(".Ss " .. quoted(item.name))
    paragraphs(item.text)
    if #item.parents > 0 then
      paragraph()
      put("Has the fields and functions of " .. table.concat(item.parents, " and ") .. " too.")
    end
    if #item.fields > 0 then rows(item.fields) end
  end

  show["function"] = function(item)
    heading(".Ss " .. quoted(signature(item)))
    paragraphs(item.text)
    if item.type then
      paragraph()
      put(escape(item.type))
    end
    if #item.params > 0 then rows(item.params) end
    if #item.returns > 0 then
      paragraph()
      put "Returns"
      rows(item.returns)
    end
  end

  local year, month, day = date:match "(%d+)-(%d+)-(%d+)"
  put '.\\" Made by `make docs` from the annotations in lua/nexthop: do not edit.'
  put((".Dd %s %d, %s"):format(months[tonumber(month)], day, year))
  put ".Dt NEXTHOP 3\n.Os\n.Sh NAME\n.Nm nexthop"
  put ".Nd Lua module: where mail for a domain goes, and what TLS its hosts are owed"
  put '.Sh SYNOPSIS\n.Bd -literal\nlocal nexthop = require "nexthop"\nlocal resolver = assert(nexthop.new {})'
  put 'local plan, err = resolver:plan("example.org", { deadline = 10 })\n.Ed'
  heading ".Sh DESCRIPTION"
  for _, item in ipairs(api.items) do show[item.kind](item) end
  put ".Sh SEE ALSO\n.Xr nexthop 1 ,\n.Xr filter-nexthop 8 ,\n.Xr nexthop-server 8"
  return table.concat(out, "\n") .. "\n"
end

return M
