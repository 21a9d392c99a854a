-- busted's command line, under whichever Lua runs this file: Debian's
-- /usr/bin/busted does the same under the system's default Lua, and the
-- wrapper that LuaRocks installs is a shell script.
require("busted.runner")({ standalone = false })
