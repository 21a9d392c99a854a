-- bind.keys is among the places where the root's anchor is looked for, and was refused as holding none; so
-- was every trusted-keys-file of an unbound.conf, which has to be in BIND's form.
local files = require "tests.support.files"
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

describe("the keys of a BIND configuration", function()
  before_each(support.reset)
  after_each(function()
    support.close()
    files.remove()
  end)

  local function read(name)
    local file = assert(io.open(lab.folder .. "/" .. name))
    local text = file:read "*a"
    file:close()
    return text
  end

  local key = read(read("root.key"):match "%S+" .. ".key"):match "DNSKEY%s+%d+%s+%d+%s+%d+%s+(%S+)"
  local ds, digest = lab.anchor:match "DS (%d+ %d+ %d+) (%x+)"
  local halves = key:sub(1, 30) .. "\n      " .. key:sub(31)

  local function sees(options)
    local resolver, err = nexthop.new(options)
    if not resolver then return nil, err end
    local result = assert(resolver:gather_destinations "dane.example")
    resolver:close()
    return result.expanded_next_hop_authentic
  end

  for what, text in pairs {
    ["initial-ds"] = ('trust-anchors {\n  . initial-ds %s "%s";\n};\n'):format(ds, digest),
    ["static-ds"] = ('trust-anchors { "." static-ds %s "%s %s"; };')
      :format(ds, digest:sub(1, 8), digest:sub(9)),
    ["static-key"] = ('trust-anchors {\n  "." static-key 257 3 13 "%s";\n};\n'):format(key),
    ["managed-keys"] = ('/* { */ # "\nmanaged-keys {\n// of 2017 "\n"." initial-key 257 3 13 "%s";\n};\n')
      :format(halves),
    ["trusted-keys"] = ('options { directory "/x"; };\ntrusted-keys {\n . 257 3 13 "%s"; };\n'):format(key),
    ["one that can be used among others"] =
      ("trust-anchors { . initial-ds 1 5 1 \"%s\"; . initial-ds %s \"%s\"; };")
      :format(("0a"):rep(20), ds, digest),
  } do
    it("count as a trust_anchor_file: " .. what, function()
      assert.is_true(sees { stub = lab:stub(), trust_anchor_file = files.new(text) })
    end)
  end

  it("are refused when none can be used", function()
    for _, text in ipairs { "trust-anchors { };", 'trust-anchors { . initial-key 257 3 13 "AwEA"; };',
      'trust-anchors { . initial-ds; };', "# trust-anchors { . initial-ds 1; };", "options { };" } do
      local err = support.failed("config", sees { stub = lab:stub(), trust_anchor_file = files.new(text) })
      support.contains(err.message, "holds no usable trust anchor")
    end
  end)

  local function conf(option, text)
    return files.new(('server:\n %s: "%s"\nforward-zone:\n name: "."\n forward-addr: %s\n')
      :format(option, files.new(text), lab.forward_address))
  end

  it("count as an unbound.conf's trusted-keys-file, of which libunbound reads trusted-keys alone", function()
    local trusted = ('trusted-keys { "." 257 3 13 "%s"; };\n'):format(key)
    assert.is_true(sees { unbound_conf = conf("trusted-keys-file", trusted) })
    local managed = trusted:gsub("trusted%-keys", "managed-keys"):gsub("257", "initial-key 257")
    for _, text in ipairs { managed, lab.anchor } do
      support.failed("config", sees { unbound_conf = conf("trusted-keys-file", text) })
    end
    support.failed("config", sees { unbound_conf = conf("trust-anchor-file", trusted) })
  end)
end)
