-- The indentation of Lua files: two spaces a block, and one rule for all that stands on several lines.
--
--   lua5.4 tools/indent.lua FILE...         names the lines that are indented otherwise; then its status is 1
--   lua5.4 tools/indent.lua --fix FILE...   indents them
--
-- The rule. Where a block or a bracket is opened, the lines within it stand two spaces deeper than the line
-- that opens it, however many it opens. A line that begins with the word or bracket that closes one (and
-- `else`, `elseif`, `then`, `do`) stands as deep as the line that opened it. A line that goes on with what
-- began on an earlier one (a statement, or one item of a list) stands two spaces deeper than the line where
-- that began. A comment stands as deep as the code below it, and before the end of a block as deep as the
-- block. Lines within a long string or a long comment are left as they are.
local step = 2

local opens = { ["function"] = "end", ["if"] = "end", ["for"] = "end", ["while"] = "end", ["do"] = "end",
  ["repeat"] = "until", ["("] = ")", ["{"] = "}", ["["] = "]" }
local closes = { ["end"] = true, ["until"] = true, [")"] = true, ["}"] = true, ["]"] = true }
local brackets = { ["("] = true, ["{"] = true, ["["] = true }
local headers = { ["if"] = true, ["for"] = true, ["while"] = true }

-- After these something more must come, and before those something must have been.
local goes_on, continues = {}, {}
for sign in ("= + - * / // % ^ .. == ~= < > <= >= and or . : & | ~ << >> in ,"):gmatch("%S+") do
  goes_on[sign], continues[sign] = true, true
end
for word in ("not # local return"):gmatch("%S+") do goes_on[word] = true end
local arguments = { ["("] = true, ["{"] = true, ["["] = true, string = true }
local callable = { name = true, string = true, [")"] = true, ["]"] = true, ["}"] = true }

local words = {}
for word in ("and break do else elseif end false for function if in local nil not or repeat return then true "
  .. "until while"):gmatch("%a+") do
  words[word] = true
end

-- ---- tokens ----------------------------------------------------------------------------------

-- One token from a place on: its kind (the word or sign itself, or "name", "number", "string", "comment") and
-- where it ends.
local function token_at(text, from)
  local long = text:match("^%-%-%[(=*)%[", from)
  if long then return "comment", select(2, text:find("]" .. long .. "]", from, true)) end
  if text:find("^%-%-", from) then return "comment", select(2, text:find("^[^\n]*", from)) end
  long = text:match("^%[(=*)%[", from)
  if long then return "string", select(2, text:find("]" .. long .. "]", from, true)) end
  local quote = text:match("^[\"']", from)
  if quote then
    local at = from + 1
    while text:sub(at, at) ~= quote do
      if at > #text then return "string", nil end
      at = at + (text:sub(at, at) == "\\" and 2 or 1)
    end
    return "string", at
  end
  local name = text:match("^[%a_][%w_]*", from)
  if name then return words[name] and name or "name", from + #name - 1 end
  local number = text:match("^%.?%d[%w.]*", from)
  if number then return "number", from + #number - 1 end
  for _, sign in ipairs { "...", "..", "==", "~=", "<=", ">=", "//", "<<", ">>", "::" } do
    local last = from + #sign - 1
    if text:sub(from, last) == sign then return sign == "..." and "name" or sign, last end
  end
  return text:sub(from, from), from
end

-- The lines of a text, each with its tokens; `inner`: it begins within a long string or comment.
local function read(text)
  local lines, number = { { tokens = {} } }, 1
  local at, line_from = 1, 1
  if text:find("^#!") then at = text:find("\n", 1, true) end
  while at <= #text do
    local from = text:find("[^ \t\r]", at)
    if not from then break end
    if text:sub(from, from) == "\n" then
      lines[number].text = text:sub(line_from, from - 1)
      number, at, line_from = number + 1, from + 1, from + 1
      lines[number] = { tokens = {} }
    else
      local kind, last = token_at(text, from)
      if not last then return nil, ("line %d: a %s without an end"):format(number, kind) end
      table.insert(lines[number].tokens, kind)
      at = last + 1
      for place in text:sub(from, last):gmatch("()\n") do
        lines[number].text = text:sub(line_from, from + place - 2)
        number, line_from = number + 1, from + place
        lines[number] = { tokens = {}, inner = true }
      end
    end
  end
  if line_from <= #text then lines[number].text = text:sub(line_from) else lines[number] = nil end
  return lines
end

-- ---- the rule --------------------------------------------------------------------------------

-- What is open, innermost last: { opener, closer, indent = of the line that opened it, header = before its
-- `then` or `do`, item = the indentation of the line where the present statement or item began, nil before
-- the first }
local Stack = {}
Stack.__index = Stack

function Stack:top() return self[#self] end

-- Is the first token of a line part of what the line before has not ended?
local function is_continued(level, before, token)
  if not level.item then return false end
  if before == "," or before == ";" then return before == "," and not brackets[level.opener] end
  return goes_on[before] or continues[token] or (arguments[token] and callable[before]) or false
end

-- How deep a line is that begins with this token.
function Stack:depth(token, before)
  local level = self:top()
  if closes[token] or token == "else" or token == "elseif" then return level.indent end
  if level.header then
    return (token == "then" or token == "do") and level.indent or level.indent + step
  end
  if is_continued(level, before, token) then return level.item + step end
  return level.indent + step
end

-- Goes over one token that stands on a line of this indentation.
function Stack:pass(token, indent, before)
  local level = self:top()
  if closes[token] then
    if level.closer ~= token then return nil, ("%s, and not %s"):format(token, level.closer or "the end") end
    self[#self] = nil
    return true
  end
  if token == "then" or (token == "do" and level.header) then
    level.header, level.item = nil, nil
    return true
  elseif token == "else" then
    level.item = nil
    return true
  elseif token == "elseif" then
    level.header, level.item = true, nil
    return true
  end
  if not level.header and (not level.item or before == "," or before == ";") and token ~= "," then
    -- an item that begins on a line within its list, or a first one on the line of the bracket
    if brackets[level.opener] or not level.item then level.item = indent end
  end
  if opens[token] then
    self[#self + 1] = { opener = token, closer = opens[token], indent = indent, header = headers[token] }
  end
  return true
end

-- The indentation of each line; false: is left as it is.
local function indentations(lines)
  local stack = setmetatable({ { opener = "", indent = -step } }, Stack)
  local result, before, comments = {}, "", {}
  local indent = 0
  for number, line in ipairs(lines) do
    local first = line.tokens[1]
    result[number] = false
    if not line.inner and first == "comment" and #line.tokens == 1 then
      comments[#comments + 1] = number
    elseif first and not line.inner then
      while first == "comment" do
        table.remove(line.tokens, 1)
        first = line.tokens[1]
      end
      indent = stack:depth(first, before)
      result[number] = indent
      local level = stack:top()
      local deeper = (closes[first] or first == "else" or first == "elseif") and level.indent + step or indent
      for _, comment in ipairs(comments) do result[comment] = deeper end
      comments = {}
      if not level.header and not closes[first] and not is_continued(level, before, first) then
        level.item = indent
      end
    end
    for _, token in ipairs(first and line.tokens or {}) do
      if token ~= "comment" then
        local ok, reason = stack:pass(token, indent, before)
        if not ok then return nil, ("line %d: %s"):format(number, reason) end
        before = token
      end
    end
  end
  for _, comment in ipairs(comments) do result[comment] = 0 end
  if #stack > 1 then return nil, ("no %s at the end"):format(stack:top().closer) end
  return result
end

-- ---- files -----------------------------------------------------------------------------------

-- What is wrong with a file, a list of texts; and the text as it should be.
local function examine(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  local lines, reason = read(text)
  local wanted
  if lines then wanted, reason = indentations(lines) end
  if not wanted then return { ("%s: %s"):format(path, reason) } end
  local wrong, whole = {}, {}
  for number, line in ipairs(lines) do
    local space, rest = line.text:match("^([ \t]*)(.*)$")
    whole[number] = line.text
    if wanted[number] and (#space ~= wanted[number] or space:find("\t")) then
      wrong[#wrong + 1] = ("%s:%d: %d spaces, not %d"):format(path, number, wanted[number], #space)
      whole[number] = (" "):rep(wanted[number]) .. rest
    end
  end
  return wrong, table.concat(whole, "\n") .. "\n", text
end

local fix = arg[1] == "--fix"
local failed = false
for index = fix and 2 or 1, #arg do
  local wrong, whole, text = examine(arg[index])
  if fix and whole and whole ~= text then
    local file = assert(io.open(arg[index], "wb"))
    file:write(whole)
    file:close()
  end
  if not fix or not whole then
    for _, line in ipairs(wrong) do
      io.stderr:write(line, "\n")
      failed = true
    end
  end
end
os.exit(failed and 1 or 0)
