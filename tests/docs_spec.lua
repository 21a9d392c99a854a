-- The commands that README.md and the pages of docs/ show, and what they print. A block of code that is
-- marked as `console` is typed into the shell of `make lab`, in the order of its page. A line that begins
-- with "$ " is a command (with its <<'END' text), one with "> " is typed into the Lua that it starts, and all
-- others are output. A line "..." stands for any lines, and "..." in a line for any text. Digests, ports,
-- times and dates may differ.
local files = require "tests.support.files"
local shell = require "tests.support.shell"

local lua = os.getenv "NEXTHOP_LUA" or arg[-1]

after_each(files.remove)

-- { { command =, input = (of Lua, or nil), output =, line = } ... }
local function commands(page)
  local list, inside, number, ending = {}, false, 0, nil
  for line in files.read(page):gmatch "([^\n]*)\n" do
    number = number + 1
    local last = list[#list]
    if line:find "^```" then
      inside = line == "```console"
    elseif not inside then -- text
      ending = nil
    elseif ending then
      last.command = last.command .. "\n" .. line
      if line == ending then ending = nil end
    elseif line:find "^%$ " then
      list[#list + 1] = { command = line:sub(3), output = "", page = page, line = number }
      ending = line:match "<<'(%w+)'"
    elseif line:find "^> " and last then
      last.input = (last.input or "") .. line:sub(3) .. "\n"
    else
      last.output = last.output .. line .. "\n"
    end
  end
  return list
end

-- What the shell reads. Each command ends with a line of its own, so that its output can be found.
local function script(list)
  local text, page = { "tree=$PWD" }, nil
  for number, each in ipairs(list) do
    if each.page ~= page then
      page = each.page
      text[#text + 1] = 'cd "$tree"'
    end
    if each.input then
      text[#text + 1] = ("{ %s -i <<'TYPED'\n%sTYPED\n} 2>&1"):format(each.command, each.input)
    elseif each.command:find "&$" then -- a server: it runs when it has said so
      local log = ('"$LAB/log.%d"'):format(number)
      text[#text + 1] = each.command:gsub("&$", function() return (">%s 2>&1 &"):format(log) end)
      text[#text + 1] = ("until [ -s %s ]; do sleep 0.02; done; cat %s"):format(log, log)
    else
      text[#text + 1] = ("{ %s\n} 2>&1"):format(each.command)
    end
    text[#text + 1] = ("echo; echo 'end of %d'"):format(number)
  end
  return table.concat(text, "\n") .. "\nwait\n"
end

local function outputs(list)
  local said, status = shell.run(("timeout -k 5 100 %s tests/lab/shell.lua <%s"):format(shell.quote(lua),
    shell.quote(files.new(script(list)))))
  assert.equal(0, status, said)
  local found, from = {}, 1
  for number in ipairs(list) do
    local first, last = said:find(("\nend of %d\n"):format(number), from, true)
    assert(first, said)
    found[number] = said:sub(from, first - 1)
    from = last + 1
  end
  return found
end

-- What differs from run to run, or from one OpenSSL to the next, is replaced.
local function plain(text)
  text = text:gsub("%f[%x]%x+", function(digits) return #digits == 64 and "DIGEST" or nil end)
  text = text:gsub("(%d+%.%d+%.%d+%.%d+[:@])%d+", "%1PORT"):gsub("port %d+", "port PORT")
  text = text:gsub("%d+%.?%d* m?s%f[%A]", "TIME"):gsub("20%d%d%-%d%d%-%d%d", "DATE")
  text = text:gsub("X25519MLKEM768", "x25519")
  return text
end

-- A session of an interpreter that reads no terminal, without its first line, its prompts and what is typed.
-- Some interpreters repeat what is typed, and others do not.
local function answers(session, typed)
  local kept = {}
  for shown in session:gsub("^Lua[^\n]*\n", ""):gmatch "[^\n]*" do
    local line = shown
    while line:find "^> " do line = line:sub(3) end
    if line ~= "" and not typed:find(line .. "\n", 1, true) then kept[#kept + 1] = line .. "\n" end
  end
  return table.concat(kept)
end

local function pattern(text)
  text = text:gsub("[%^$()%%.%[%]*+?-]", "%%%0")
  text = text:gsub("%f[^\n%z]%%%.%%%.%%%.\n", ".-"):gsub("%%%.%%%.%%%.", "[^\n]-")
  return "^" .. text .. "\n?$"
end

local pages = { "README.md" }
for page in shell.run("ls docs/*.md"):gmatch "[^\n]+" do pages[#pages + 1] = page end

it("every page of docs/ is read here", function()
  assert.is_true(#pages >= 9, table.concat(pages, " "))
end)

if lua:match "[^/]*$" ~= "lua5.4" or (os.getenv "UNDER" or "") ~= "" then -- another Lua, or ASan or valgrind
  it("the commands of the pages", function() pending "the pages start lua5.4" end)
  return
end

local list = {}
for _, page in ipairs(pages) do
  for _, each in ipairs(commands(page)) do list[#list + 1] = each end
end
local said
setup(function() said = outputs(list) end)

for number, each in ipairs(list) do
  it(("%s:%d shows what it prints: %s"):format(each.page, each.line, each.command:match "[^\n]*"), function()
    local actual = plain(each.input and answers(said[number], each.input) or said[number])
    if not actual:find(pattern(plain(each.output))) then assert.equal(plain(each.output), actual) end
  end)
end
