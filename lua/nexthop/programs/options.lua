--- The parser of options of all programs. It reads the usage that a program prints: a line that begins with
-- spaces and a hyphen declares an option, `-f PATH, --file PATH` or `--json`. A word behind the name stands
-- for its value.
-- The declared options by name ("-f"), each as { key, takes_value }: the key is the last name without its
-- hyphens, with `_` in place of others.
local function declared(usage)
  local options = {}
  for line in usage:gmatch "[^\n]+" do
    local names = line:match "^%s+(%-.-)%s%s" or line:match "^%s+(%-%S.*)$"
    if names then
      local option = {}
      for name, value in (names .. ","):gmatch "(%-[%w-]+) ?([^,]*)," do
        options[name] = option
        option.key, option.takes_value = name:gsub("^%-+", ""):gsub("%-", "_"), value ~= ""
      end
    end
  end
  return options
end

-- Takes a word apart: "--file=a" into "--file" and "a", "-fa" into "-f" and what is behind it.
local function split(word)
  local name, value = word:match "^(%-%-[^=]+)=(.*)$"
  if name then return name, value end
  if word:find "^%-%-" then return word end
  local rest = word:sub(3)
  return word:sub(1, 2), rest ~= "" and rest or nil
end

--- Reads the words of a command line.
-- @return { key = true, or the list of the values in their order }, and the list of the words that are no
-- options; or nil and what is wrong
return function(usage, words)
  local options, given, others, i = declared(usage), {}, {}, 1
  while words[i] do
    local word = words[i]
    i = i + 1
    if word == "--" then
      for k = i, #words do others[#others + 1] = words[k] end
      break
    elseif word == "-" or word:sub(1, 1) ~= "-" then
      others[#others + 1] = word
      word = nil
    end
    while word do
      local name, value = split(word)
      local option = options[name]
      word = nil
      if not option then return nil, ("unknown option '%s'"):format(name) end
      if option.takes_value then
        if not value then
          value, i = words[i], i + 1
          if not value or options[value] then
            return nil, ("option '%s' requires an argument"):format(name)
          end
        end
        given[option.key] = given[option.key] or {}
        table.insert(given[option.key], value)
      else
        if value and name:find "^%-%-" then
          return nil, ("option '%s' does not take arguments"):format(name)
        end
        given[option.key] = true
        word = value and "-" .. value -- "-nv" is "-n -v"
      end
    end
  end
  return given, others
end
