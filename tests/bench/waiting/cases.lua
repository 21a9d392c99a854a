-- All cases, in the order of the table.
for _, part in ipairs { "slow", "loss", "outage", "wrong", "neighbour", "crowd" } do
  require("tests.bench.waiting." .. part .. "_cases")
end

return require("tests.bench.waiting.common").cases
