-- meta.lua left out fields that errors have: domain, mx_authentic, nxdomain and trace of plan(), the empty
-- lists of the steps. Every field of results and errors is looked up there.
local nexthop = require "nexthop"
local support = require "tests.support"
local lab = support.lab

-- { ["nexthop.Error"] = { code = true, ... }, ... }, those of the classes above included.
local function classes()
    local list, current = {}, nil
    for line in io.lines("lua/nexthop/meta/nexthop.lua") do
        local name, parents = line:match("^%-%-%-@class ([%w.]+):?%s*(.*)$")
        local field = line:match("^%-%-%-@field ([%w_]+)")
        if name then
            current = {}
            list[name] = current
            for parent in parents:gmatch("[%w.]+") do
                for key in pairs(list[parent]) do
                    current[key] = true
                end
            end
        elseif field and current then
            current[field] = true
        end
    end
    return list
end

describe("meta/ describes every field", function()
    before_each(support.reset)
    after_each(support.close)

    it("of results and errors", function()
        local described, missing = classes(), {}
        local function look(class, result)
            for key in pairs(result) do
                if not described[class][key] then
                    missing[class .. "." .. key] = true
                end
            end
            for _, err in pairs(result.failed or {}) do
                look("nexthop.Error", err)
            end
            for _, list in ipairs { "records", "weaker", "unusable" } do
                for _, record in ipairs(result[list] or {}) do
                    look("nexthop.Record", record)
                end
            end
        end
        local resolver = support.resolver()
        local function call(class, method, ...)
            local result, err = resolver[method](resolver, ...)
            look(result and class or "nexthop.Error", result or err)
            return result or {}
        end
        for _, name in ipairs { "mxeverywhere.example", "mx-t-allbad.example", "mx-t-agility.example",
            "nullmx.example", "nothing.example", "broken.example", "s2broken.example", "loop2.example",
            "mxallbad.example", "mx-bogus4.example", "bogustlsa.example", "mx1.dane.example",
            "hundred.example", "bogusboth.example", "192.0.2.1", "a..b" } do
            local plan = call("nexthop.Plan", "plan", name, { trace = true })
            for _, host in ipairs(plan.hosts or {}) do
                look("nexthop.PlanHost", host)
                look("nexthop.Error", host.err or {})
            end
            for _, entry in ipairs(plan.trace or {}) do
                look("nexthop.TraceEntry", entry)
            end
            call("nexthop.Destinations", "gather_destinations", name)
            call("nexthop.Tlsa", "gather_tlsa", name, call("nexthop.Ips", "gather_ips", name))
        end
        look("nexthop.Stats", resolver:stats())
        look("nexthop.Error", (select(2, nexthop.new(lab:options { trust_anchor_file = "/dev/null" }))))
        assert.same({}, missing)
    end)
end)
