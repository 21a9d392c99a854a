-- Plans at a fixed rate from two nexthop-servers: each domain is asked from one, and a second later from the
-- other. What each call has got is told by phases.
--
--   local load = require("tests.cluster.load").new({ path, path }, domains, rate)
--   local phase = load:run(10)
--   load:finish()                       -- waits for the last answers
--   phase.lost, phase.doubled, phase.wrong: how many; phase.first, phase.second,
--   phase.forged: lists of seconds;
--   phase.others: { ["verdict instead of verdict"] = how many }
local cjson = require "cjson"
local uv = require "luv"

local M = {}
M.__index = M

local function now() return uv.hrtime() / 1e9 end

--- What a plan says, in a word: "dane", "may", "skip bogus", "nxdomain".
function M.verdict(answer)
  if answer.error then return answer.error.code end
  local words = {}
  for _, host in ipairs(answer.result.hosts) do
    words[#words + 1] = host.tls .. (host.err and " " .. host.err.code or "")
  end
  return table.concat(words, ", ")
end

local function take(self, line)
  local answer = cjson.decode(line)
  local call = assert(self.calls[answer.id], "an answer to nothing")
  local phase = call.phase
  if call.answered then
    phase.doubled = phase.doubled + 1
    return
  end
  call.answered = true
  self.open = self.open - 1
  phase.lost = phase.lost - 1
  table.insert(phase[call.domain.is_forged and "forged" or call.turn], now() - call.start)
  local verdict = M.verdict(answer)
  -- A host that is skipped is skipped, whether the forged answer or the time for a better one is the reason.
  local right = call.domain.verdict
  if verdict:match "^%w+" ~= right:match "^%w+" then phase.wrong = phase.wrong + 1 end
  if verdict ~= right then
    local text = ("%s instead of %s"):format(verdict, right)
    phase.others[text] = (phase.others[text] or 0) + 1
  end
end

local function connect(self, path)
  local pipe, input, connected = uv.new_pipe(false), "", nil
  pipe:connect(path, function(err)
    assert(not err, err)
    connected = true
  end)
  while not connected do uv.run "once" end
  pipe:read_start(function(err, chunk)
    if not chunk then -- what is asked there has no answer any more
      io.stderr:write(("%s has closed the connection: %s\n"):format(path, err or "end"))
      return
    end
    input = input .. chunk
    local start = 1
    for stop in input:gmatch "()\n" do
      take(self, input:sub(start, stop - 1))
      start = stop + 1
    end
    input = input:sub(start)
  end)
  return pipe
end

--- @param domains a list of { name =, verdict =, is_forged = }
function M.new(paths, domains, rate)
  local self = setmetatable({ calls = {}, open = 0, domains = domains, rate = rate, asked = 0 }, M)
  self.pipes = { connect(self, paths[1]), connect(self, paths[2]) }
  return self
end

local function ask(self, phase, domain, server, turn)
  local id = #self.calls + 1
  self.calls[id] = { phase = phase, domain = domain, turn = turn, start = now() }
  self.open = self.open + 1
  phase.asked, phase.lost = phase.asked + 1, phase.lost + 1
  self.pipes[server]:write(('{"id":%d,"op":"plan","domain":"%s"}\n'):format(id, domain.name))
end

-- The next domain of the first asking, and that of the second, which is a second behind.
local function tick(self, phase)
  self.asked = self.asked + 1
  local index = self.asked
  local domain = assert(self.domains[index], "there are not enough domains")
  ask(self, phase, domain, index % 2 + 1, "first")
  local earlier = self.domains[index - self.rate]
  if earlier then ask(self, phase, earlier, 2 - (index - self.rate) % 2, "second") end
end

--- Asks for so many seconds; `during` is called once, at the start. The phase is complete after finish().
function M:run(seconds, during)
  local phase = { asked = 0, lost = 0, doubled = 0, wrong = 0, others = {}, first = {}, second = {},
    forged = {}, seconds = seconds }
  local start, done, timer = now(), 0, uv.new_timer()
  timer:start(0, 5, function()
    while done < (now() - start) * self.rate and done < seconds * self.rate do
      done = done + 1
      tick(self, phase)
    end
  end)
  if during then during() end
  while done < seconds * self.rate do uv.run "once" end
  timer:close()
  return phase
end

--- Waits for the answers that are missing, for so long at most.
function M:finish(seconds)
  local stop, timer = now() + seconds, uv.new_timer()
  timer:start(0, 50, function() end)
  while self.open > 0 and now() < stop do uv.run "once" end
  timer:close()
end

function M:close()
  for _, pipe in ipairs(self.pipes) do pipe:close() end
  uv.run "nowait"
end

return M
