-- What matters of an unbound.conf was found at the beginning of lines alone, and not in what an include
-- with a wildcard names, as Debian's has it: its anchors and forwarders did not count, and libunbound was
-- given what it ends the process over.
local files = require "tests.support.files"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

describe("an unbound.conf", function()
  local folder

  before_each(function()
    support.reset()
    folder = files.folder()
  end)
  after_each(function()
    support.close()
    files.remove()
  end)

  local function included(name, text)
    files.write(folder .. "/" .. name, text)
  end

  local function new(text)
    local resolver, err = nexthop.new { unbound_conf = files.new((text:gsub("FOLDER", folder))) }
    if not resolver then return nil, err end
    local result = assert(resolver:gather_destinations "dane.example")
    resolver:close()
    return result.expanded_next_hop_authentic
  end

  local anchor = ('trust-anchor: "%s"\n'):format(lab.anchor)
  local forward = ('forward-zone:\n name: "."\n forward-addr: %s\n'):format(lab.forward_address)
  local auto = ('server:\n auto-trust-anchor-file: "%s"\n'):format(lab.anchor_file)

  for _, pattern in ipairs { "*.conf", "[ab].conf", "?.conf", "{a,b}.conf" } do
    it("may have its anchor and forwarder in an include of " .. pattern, function()
      included("a.conf", "server:\n " .. anchor)
      included("b.conf", forward)
      assert.is_true(new(('include: "FOLDER/%s"\n'):format(pattern)))
      assert.is_true(new(("include-toplevel: FOLDER/%s\n"):format(pattern)))
    end)
  end

  for what, text in pairs {
    ["several keys on a line"] = "server: verbosity: 0 " .. anchor
      .. ('forward-zone: name: "." forward-addr: %s\n'):format(lab.forward_address),
    ["no space behind a key"] = "server:" .. anchor:gsub(": ", ":") .. forward:gsub("addr: ", "addr:"),
    ["values on a line of their own"] = "server:\n " .. anchor:gsub(": ", ": # next\n\n  ")
      .. forward:gsub("addr: ", "addr:\n\t"),
  } do
    it("may have " .. what, function() assert.is_true(new(text)) end)
  end

  it("is refused for what ends the process, wherever that stands", function()
    included("a.conf", auto)
    local one_line = auto:gsub("\n", " ") .. "\n"
    for text, reason in pairs {
      ['include: "FOLDER/*.conf"\nserver:\n ' .. anchor] = "auto-trust-anchor-file",
      [one_line] = "auto-trust-anchor-file",
      ["server: verbosity: 0 " .. one_line:gsub("^server: ", "") .. anchor] = "auto-trust-anchor-file",
      [one_line:gsub("file: ", "file:")] = "auto-trust-anchor-file",
      ['server: verbosity: 0 module-config: "python iterator" ' .. anchor] = "module 'python' is not taken",
    } do
      support.contains(support.failed("config", new(text .. forward)).message, reason)
    end
  end)

  it("is read for its keys alone: a comment or a text that looks like one is none", function()
    assert.is_true(new('server:\n # auto-trust-anchor-file: "/x"\n identity: "auto-trust-anchor-file: x"\n '
      .. "version: 'a \" # auto-trust-anchor-file: y'\n " .. anchor .. forward))
  end)

  it("that includes itself ends", function()
    included("a.conf", ('include: "%s/*.conf"\n'):format(folder))
    included("b.conf", ('include: "%s/*.conf"\n'):format(folder))
    support.failed("config", new('include: "FOLDER/*.conf"\n'))
    assert.is_true(new("server:\n " .. anchor .. forward))
  end)
end)
