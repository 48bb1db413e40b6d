-- Posts seeded orders to the collector, each with an id of its own. Arguments: a file of events (one a line), how many
-- events a body holds (1: one object), how long a connection rests after each answer in milliseconds, and a number that
-- keeps the ids of several runs apart.
local events, per_body, pause, run = {}, 1, 0, 0
local number, threads = 0, 0

function setup(thread)
  thread:set("thread_number", threads)
  threads = threads + 1
end

function init(args)
  per_body, pause, run = tonumber(args[2]), tonumber(args[3]), tonumber(args[4])
  for line in io.lines(args[1]) do
    -- {"order_id":"o-0123456789abcdef", …: what comes before the id and after it
    events[#events + 1] = { line:sub(1, 15), line:sub(32) }
  end
  wrk.method = "POST"
  wrk.headers["content-type"] = per_body == 1 and "application/json" or "application/x-ndjson"
end

function delay()
  return pause
end

function request()
  local parts = {}
  for at = 1, per_body do
    number = number + 1
    local event = events[number % #events + 1]
    parts[3 * at - 2] = event[1]
    parts[3 * at - 1] = string.format("%02x%02x%012x", run, thread_number, number)
    parts[3 * at] = event[2] .. "\n"
  end
  return wrk.format(nil, nil, nil, table.concat(parts))
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.3f, "failed": %d, "p50_ms": %.2f, "p99_ms": %.2f, "max_ms": %.2f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
