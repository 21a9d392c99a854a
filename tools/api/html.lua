--- The API as one HTML page, without scripts or anything from elsewhere.
local M = {}

local style = [[
body { font: 16px/1.5 sans-serif; margin: 0; color: #222; background: #fff; }
nav { position: fixed; top: 0; bottom: 0; width: 17em; overflow: auto;
  padding: 1em; background: #f4f4f0; font-size: 14px; }
nav ul { list-style: none; margin: 0; padding: 0 0 0 1em; }
nav > ul { padding: 0; }
main { margin-left: 20em; padding: 1em 2em 4em; max-width: 52em; }
h2 { margin-top: 2.5em; border-bottom: 1px solid #ccc; }
h3 { font: bold 16px/1.5 monospace; margin-top: 2em; background: #f4f4f0; padding: .2em .5em; }
code, .type { font-family: monospace; font-size: 14px; }
.type { color: #666; }
table { border-collapse: collapse; width: 100%; }
td { vertical-align: top; padding: .2em 1em .2em 0; border-top: 1px solid #eee; }
td:first-child { white-space: nowrap; }
a { color: #0645ad; text-decoration: none; }
a:hover { text-decoration: underline; }
@media (max-width: 60em) { nav { position: static; width: auto; } main { margin: 0; } }
@media (prefers-color-scheme: dark) {
body { color: #ddd; background: #1b1b1b; } nav, h3 { background: #262626; } a { color: #8ab4f8; }
.type { color: #999; } h2, td { border-color: #444; } }
]]

local function escape(text)
  return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;" }))
end

local function anchor(text) return (text:gsub("[^%w_.]+", "-"):gsub("%-$", "")) end

-- Text with `code` in backticks.
local function prose(text)
  return (escape(text):gsub("`([^`]+)`", "<code>%1</code>"))
end

-- A type, in which the names of classes and aliases are links.
local function type_link(api, text)
  local linked = escape(text):gsub("[%w_.]+", function(name)
    if api.classes[name] or api.aliases[name] then
      return ('<a href="#%s">%s</a>'):format(anchor(name), name)
    end
  end)
  return ('<span class="type">%s</span>'):format(linked)
end

local function signature(f)
  if not f.args then return f.full end
  local optional = {}
  for _, param in ipairs(f.params) do optional[param.name] = param.optional end
  local list = {}
  for name in f.args:gmatch "[%w_.]+" do
    list[#list + 1] = optional[name] and "[" .. name .. "]" or name
  end
  return ("%s(%s)"):format(f.full, table.concat(list, ", "))
end

local function id_of(f) return anchor(f.class .. "." .. f.name) end

--- @param api of annotations.read
-- @return the page
function M.page(api)
  local out = {}
  local function put(format, ...) out[#out + 1] = select("#", ...) > 0 and format:format(...) or format end

  local function paragraphs(list)
    for _, text in ipairs(list) do put("<p>%s</p>", prose(text)) end
  end

  local function rows(list)
    put "<table>"
    for _, row in ipairs(list) do
      put("<tr><td><code>%s</code>%s</td><td>%s %s</td></tr>", escape(row.name or ""),
        row.optional and '<span class="type"> ?</span>' or "", row.type and type_link(api, row.type) or "",
        prose(row.text))
    end
    put "</table>"
  end

  local show = {}

  function show.heading(item) put('<h2 id="%s">%s</h2>', anchor(item.text), escape(item.text)) end

  function show.text(item) paragraphs(item.text) end

  function show.alias(item)
    put('<h3 id="%s">%s</h3>', anchor(item.name), item.name)
    paragraphs(item.text)
    if item.type then put("<p>%s</p>", type_link(api, item.type)) end
    local list = {}
    for i, value in ipairs(item.values) do
      list[i] = { name = '"' .. value.value .. '"', text = value.text }
    end
    rows(list)
  end

  function show.class(item)
    put('<h3 id="%s">%s</h3>', anchor(item.name), item.name)
    paragraphs(item.text)
    if #item.parents > 0 then
      local links = {}
      for i, name in ipairs(item.parents) do links[i] = type_link(api, name) end
      put("<p>Has the fields and functions of %s too.</p>", table.concat(links, ", "))
    end
    if #item.fields > 0 then rows(item.fields) end
    if #item.functions > 0 then
      local links = {}
      for i, f in ipairs(item.functions) do
        links[i] = ('<a href="#%s"><code>%s</code></a>'):format(id_of(f), f.name)
      end
      put("<p>Functions: %s</p>", table.concat(links, ", "))
    end
  end

  show["function"] = function(item)
    put('<h3 id="%s">%s</h3>', id_of(item), escape(signature(item)))
    paragraphs(item.text)
    if item.type then put("<p>%s</p>", type_link(api, item.type)) end
    if #item.params > 0 then rows(item.params) end
    if #item.returns > 0 then
      put "<p>Returns:</p>"
      rows(item.returns)
    end
  end

  put("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>nexthop: the API</title>")
  put '<meta name="viewport" content="width=device-width, initial-scale=1">'
  put("<style>\n" .. style:gsub("%%", "%%%%") .. "</style></head><body>")
  put "<nav><ul>"
  local open = false
  for _, item in ipairs(api.items) do
    if item.kind == "heading" then
      if open then put "</ul></li>" end
      open = true
      put('<li><a href="#%s">%s</a><ul>', anchor(item.text), escape(item.text))
    elseif open and item.kind == "function" then
      put('<li><a href="#%s">%s</a></li>', id_of(item), escape(item.full))
    elseif open and (item.kind == "class" or item.kind == "alias") then
      put('<li><a href="#%s">%s</a></li>', anchor(item.name), item.name)
    end
  end
  if open then put "</ul></li>" end
  put "</ul></nav><main><h1>nexthop: the API</h1>"
  for _, item in ipairs(api.items) do show[item.kind](item) end
  put "</main></body></html>"
  return table.concat(out, "\n") .. "\n"
end

M.signature = signature

return M
