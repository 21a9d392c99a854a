--- Results as lines of JSON, with the field names of the API.
local json = require "nexthop.json.encode"

--- Returns one line.
-- @param key "domain" or "host"
-- @param input { text, name }: what was asked for, as it was written and as the result has it
-- @param check { ok, verdicts, findings } with --check
return function(key, input, result, err, check)
  local out = {}
  if result then
    for name, value in pairs(result) do out[name] = value end
  else
    out.error = { code = err.code, message = err.message, permanent = err.permanent }
    out.trace = err.trace
  end
  if check then out.ok, out.check, out.findings = check.ok, check.verdicts, check.findings end
  out[key] = out[key] or input.name or input.text
  if out[key] ~= input.text then out.input = input.text end
  return json.line(out, true)
end
