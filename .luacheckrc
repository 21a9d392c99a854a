-- std "min": only what Lua 5.1 to 5.5 and LuaJIT have in common.
std = "min"
codes = true
max_line_length = 110
exclude_files = { "build/", ".cache/" }

-- `local _, err = ...` and methods that do not look at their object.
self = false
ignore = {
  "212/_.*", -- unused argument with a name that says so
}

-- busted's words, and its assert with fields.
for _, specs in ipairs { "tests/*_spec.lua", "tests/**/*_spec.lua" } do
  files[specs] = { std = "min+busted" }
end

-- Annotations for editors: the functions are empty and their arguments unused.
for _, annotations in ipairs { "lua/nexthop/meta.lua", "lua/nexthop/meta/*.lua" } do
  files[annotations] = { ignore = { "211", "212", "213", "241" }, max_line_length = false }
end

-- A plugin of rspamd, which sets these.
files["examples/rspamd/plugins.d/*.lua"] = { read_globals = { "rspamd_config", "rspamd_logger" } }

-- Programs have `arg`; so do the interpreter's own scripts.
for _, programs in ipairs { "bin/*", "examples/*.lua", "tests/**/*.lua", ".ci/*.lua", "tools/*.lua" } do
  files[programs] = files[programs] or {}
  files[programs].read_globals = { "arg" }
end
