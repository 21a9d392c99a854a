-- The DNS of the lab at the place of a resolver: port 53 of 127.0.0.1, in a network namespace with nothing
-- else.
-- Runs a command, and ends.
--
--   lua5.4 tests/packages/dns.lua ANCHOR COMMAND      writes the trust anchor to the file ANCHOR before
package.path = "./?.lua;" .. package.path
local lab = require("tests.lab.lab").start()
lab:listen("127.0.0.1", { port = 53, forward = true })
local from = assert(io.open(lab.anchor_file)):read "*a"
local to = assert(io.open(arg[1], "w"))
to:write(from)
to:close()
local status, how, code = os.execute(arg[2])
lab:stop()
os.exit(status == true and 0 or how == "exit" and code or 1)
