-- What wrk sends: BENCH_KIND is get, list or create; BENCH_ROWS the number of rows whose ids can be asked for.
-- Prints one line: requests, microseconds, p99 in microseconds, answers that are errors.

local kind, rows = os.getenv("BENCH_KIND"), tonumber(os.getenv("BENCH_ROWS"))
math.randomseed(os.time() * 1000 + math.floor(os.clock() * 1e6))

function request()
    if kind == "get" then
        return wrk.format("GET", string.format("/api/employees/00000000-0000-7000-8000-%012x", math.random(rows)))
    elseif kind == "list" then
        return wrk.format("GET", "/api/employees?limit=50")
    end
    local body = '{"name": "Ada Lovelace", "age": 36, "email": "u%d@example.org"}'
    local headers = { ["content-type"] = "application/json" }
    return wrk.format("POST", "/api/employees", headers, string.format(body, math.random(1, 2 ^ 52)))
end

function done(summary, latency)
    local errors = summary.errors
    local bad = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    print(string.format("RESULT %d %d %d %d", summary.requests, summary.duration, latency:percentile(99), bad))
end
