--- Reads the annotations of the public API (LuaCATS: ---@class, ---@field ...) from all files of
-- lua/nexthop/meta/. Debian has no tool that reads them, so this file knows the part of the language
-- that is used there, and stops at a line that it does not understand.
--
-- The result is a list of items in the order of the files:
--   { kind = "heading", text }
--   { kind = "text", text }                                   comments between the annotations
--   { kind = "alias", name, text, values = { { value, text } } }
--   { kind = "class", name, parents, text, fields = { { name, type, text, optional } }, functions }
--   { kind = "function", name, full, class, method, text, params, returns }
-- Text is a list of paragraphs.
local M = {}

local function fail(place, ...) error(("%s:%d: %s"):format(place.file, place.line, (...)), 0) end

-- ---- types --------------------------------------------------------------------

local read_type

local closing = { ["("] = ")", ["{"] = "}", ["<"] = ">" }

-- The position behind the bracket that closes the one at `from`.
local function skip_brackets(text, from)
  local open = text:sub(from, from)
  local close, depth = closing[open], 0
  for i = from, #text do
    local c = text:sub(i, i)
    if c == open then depth = depth + 1 end
    if c == close then
      depth = depth - 1
      if depth == 0 then return i + 1 end
    end
  end
  return nil
end

local function skip_atom(text, from)
  local c = text:sub(from, from)
  if c == '"' then return (select(2, text:find('^"[^"]*"', from)) or #text) + 1 end
  if c == "(" or c == "{" then return skip_brackets(text, from) end
  local stop = select(2, text:find("^[%w_.]+", from))
  if not stop then return nil end
  local name = text:sub(from, stop)
  stop = stop + 1
  local bracket = text:sub(stop, stop)
  if bracket == "<" then return skip_brackets(text, stop) end
  if name ~= "fun" or bracket ~= "(" then return stop end
  stop = skip_brackets(text, stop)
  local results = stop and select(2, text:find("^:%s*", stop))
  while results do -- fun(...): type, type
    stop = read_type(text, results + 1)
    results = stop and select(2, text:find("^,%s*", stop))
  end
  return stop
end

-- The position behind the type that begins at `from`, or nil.
function read_type(text, from)
  local stop = skip_atom(text, from)
  while stop do
    local more = select(2, text:find("^%[%]", stop)) or select(2, text:find("^%?", stop))
    local union = select(2, text:find("^%s*|%s*", stop))
    if more then
      stop = more + 1
    elseif union then
      stop = skip_atom(text, union + 1)
    else
      return stop
    end
  end
  return nil
end

--- Splits "TYPE rest".
local function split_type(text, place)
  local stop = read_type(text, 1)
  if not stop then fail(place, "no type: " .. text) end
  return text:sub(1, stop - 1), (text:sub(stop):gsub("^%s+", ""))
end

--- The fields of a type such as { host: string, pref?: integer }, as those of a class; nil for other types.
function M.inline_fields(type_text)
  local inside = type_text:match "^{(.*)}[%[%]?]*$"
  if not inside then return nil end
  local fields, from = {}, 1
  while true do
    local name, optional, stop = inside:match("^%s*([%w_]+)(%??):%s*()", from)
    if not name then return fields end
    local behind = read_type(inside, stop)
    if not behind then return fields end
    fields[#fields + 1] =
      { name = name, optional = optional == "?", type = inside:sub(stop, behind - 1), text = "" }
    from = inside:match("^%s*,()", behind) or #inside + 1
  end
end

-- ---- lines --------------------------------------------------------------------

local function paragraphs(lines)
  local list, current = {}, nil
  for _, line in ipairs(lines) do
    if line == "" then
      current = nil
    elseif current then
      list[current] = list[current] .. " " .. line
    else
      list[#list + 1] = line
      current = #list
    end
  end
  return list
end

local Reader = {}
Reader.__index = Reader

function Reader:add(item)
  self.items[#self.items + 1] = item
  return item
end

-- What stands above a function or a class, taken for it.
function Reader:take()
  local pending = self.pending
  self.pending = { lines = {}, params = {}, returns = {} }
  return pending
end

function Reader:flush_comment()
  local list = paragraphs(self.comment)
  self.comment = {}
  if #list > 0 then self:add { kind = "text", text = list } end
end

local tags = {}

function tags.meta() end

function tags.class(self, rest, place)
  local name, parents = rest:match "^([%w_.]+):?%s*(.*)$"
  if not name then fail(place, "no name of a class: " .. rest) end
  local class = { kind = "class", name = name, parents = {}, fields = {}, functions = {},
    text = paragraphs(self:take().lines), place = place }
  for parent in parents:gmatch "[%w_.]+" do class.parents[#class.parents + 1] = parent end
  if self.classes[name] then fail(place, name .. " stands twice") end
  self.classes[name], self.class = class, class
  self:add(class)
end

function tags.field(self, rest, place)
  local name, optional, behind = rest:match "^([%w_]+)(%??)%s+(.*)$"
  if not name or not self.class then fail(place, "a field without a name or a class: " .. rest) end
  local type_text, text = split_type(behind, place)
  self.class.fields[#self.class.fields + 1] =
    { name = name, optional = optional == "?", type = type_text, text = text, place = place }
end

function tags.alias(self, rest, place)
  local name, text = rest:match "^([%w_.]+)%s*(.*)$"
  if not name then fail(place, "no name of an alias: " .. rest) end
  self.alias = self:add { kind = "alias", name = name, values = {}, type = text ~= "" and text or nil,
    text = paragraphs(self:take().lines), place = place }
  self.aliases[name] = self.alias
end

function tags.param(self, rest, place)
  local name, optional, behind = rest:match "^([%w_.]+)(%??)%s+(.*)$"
  if not name then fail(place, "a parameter without a name or a type: " .. rest) end
  local type_text, text = split_type(behind, place)
  local params = self.pending.params
  params[#params + 1] = { name = name, optional = optional == "?", type = type_text, text = text }
end

tags["return"] = function(self, rest, place)
  local type_text, behind = split_type(rest, place)
  local name, text = behind:match "^([%w_]+)%s*(.*)$"
  local returns = self.pending.returns
  returns[#returns + 1] = { name = name, type = type_text, text = text or behind }
end

function tags.type(self, rest, place)
  self.pending.type = split_type(rest, place)
end

function Reader:fun(owner, separator, name, args, place)
  local class = self.variables[owner]
  if not class then fail(place, "no ---@class says what " .. owner .. " is") end
  local pending = self:take()
  local f = { kind = "function", name = name, class = class.name, method = separator == ":",
    text = paragraphs(pending.lines), params = pending.params, returns = pending.returns, args = args,
    type = pending.type, place = place, full = class.shown .. separator .. name }
  for i, param in ipairs(f.params) do
    local nth = 0
    for arg in (args or ""):gmatch "[%w_.]+" do
      nth = nth + 1
      if nth == i and arg ~= param.name then
        fail(place, ("%s: parameter %d is %s, the annotation says %s"):format(f.full, i, arg, param.name))
      end
    end
  end
  class.functions[#class.functions + 1] = f
  self:add(f)
end

-- Local variables that stand for a class; `shown` is how its functions are printed.
function Reader:variable(name, place)
  local class = self.class
  if not class then fail(place, "a variable without a class: " .. name) end
  local tail = class.name:match "[^.]+$"
  -- modules keep their name, objects have that of their class: nexthop.new, resolver:plan
  class.shown = tail:find "^%l" and class.name or tail:lower()
  self.variables[name] = class
end

function Reader:code(line, place)
  local owner, separator, name, args = line:match "^function ([%w_]+)([.:])([%w_]+)%((.*)%) end$"
  if owner then return self:fun(owner, separator, name, args, place) end
  owner, name = line:match "^([%w_]+)%.([%w_]+) = nil$"
  if owner then return self:fun(owner, ".", name, nil, place) end
  name = line:match "^local ([%w_]+) = {}$"
  if name then return self:variable(name, place) end
  if not line:find "^return " then fail(place, "not understood: " .. line) end
end

function Reader:line(line, place)
  local comment = line:match "^%-%- ?(.*)$"
  if not line:find "^%-%-[^-]" and line ~= "--" or line:find "^%-%- %-%-%-%-" then self:flush_comment() end
  local tag, rest = line:match "^%-%-%-@(%a+)%s*(.*)$"
  local value, text = line:match '^%-%-%-|%s*"([^"]*)"%s*#?%s*(.*)$'
  if line == "" then
    return
  elseif tag then
    if not tags[tag] then fail(place, "no such annotation here: @" .. tag) end
    tags[tag](self, rest, place)
  elseif value then
    self.alias.values[#self.alias.values + 1] = { value = value, text = text }
  elseif line:find "^%-%-%-" then
    local lines = self.pending.lines
    lines[#lines + 1] = line:match "^%-%-%-%s?(.*)$"
  elseif line:find "^%-%- %-%-%-%-" then
    self:add { kind = "heading", text = line:match "^[%s-]*(.-)[%s-]*$" }
  elseif comment then
    self.comment[#self.comment + 1] = comment
  else
    self:code(line, place)
  end
end

-- The annotations of the tree: the module nexthop first, then by name.
local function files()
  local list = {}
  local pipe = assert(io.popen "ls lua/nexthop/meta/*.lua")
  for file in pipe:lines() do
    local input = assert(io.open(file))
    local is_first = input:read "*l" == "---@meta nexthop"
    input:close()
    table.insert(list, is_first and 1 or #list + 1, file)
  end
  pipe:close()
  return list
end

--- Reads the annotations, from the top of the tree.
-- @return { items, classes (by name), aliases (by name) }; raises for a line that is not understood
function M.read()
  local reader = setmetatable({ items = {}, classes = {}, aliases = {}, comment = {} }, Reader)
  for _, file in ipairs(files()) do
    reader:take()
    reader.class, reader.variables = nil, {}
    local n = 0
    for line in io.lines(file) do
      n = n + 1
      reader:line(line, { file = file, line = n })
    end
    reader:flush_comment()
  end
  return reader
end

--- The fields of a class and of those that it is made of, by name.
function M.all_fields(api, name)
  local list = {}
  local class = api.classes[name] or error(("no class %s"):format(name), 0)
  for _, parent in ipairs(class.parents) do
    for key, field in pairs(M.all_fields(api, parent)) do list[key] = field end
  end
  for _, field in ipairs(class.fields) do list[field.name] = field end
  return list
end

--- The functions of a class and of those that it is made of, by name.
function M.all_functions(api, name)
  local list = {}
  local class = api.classes[name] or error(("no class %s"):format(name), 0)
  for _, parent in ipairs(class.parents) do
    for key, f in pairs(M.all_functions(api, parent)) do list[key] = f end
  end
  for _, f in ipairs(class.functions) do list[f.name] = f end
  return list
end

return M
