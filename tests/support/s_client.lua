-- The verdict of `openssl s_client` on a server, with STARTTLS and DANE.
local shell = require "tests.support.shell"

--- Connects once, says QUIT, and trusts nothing but the records.
-- @param name sent as SNI, and the reference identifier
-- @param records texts of TLSA records
-- @param extra more arguments of s_client
-- @param mode in place of the option by which usage 3 binds no names (RFC 7672 section 3.1.1)
-- @return is it verified; what s_client said
return function(address, port, name, records, extra, mode)
  local words = { "export OPENSSL_CONF=/dev/null; printf QUIT |",
    "timeout 20 openssl s_client -brief -starttls smtp -connect", ("%s:%d"):format(address, port),
    "-servername", name, "-dane_tlsa_domain", name, mode or "-dane_ee_no_namechecks",
    "-verify_return_error -no-CAfile -no-CApath", extra or "" }
  for _, record in ipairs(records) do
    words[#words + 1] = "-dane_tlsa_rrdata " .. shell.quote(record)
  end
  local said, status = shell.run(table.concat(words, " "))
  local verified = status == 0 and said:find("Verification: OK", 1, true) ~= nil
  assert(verified or status == 1 or said:find("Verification error", 1, true), said)
  return verified, said
end
