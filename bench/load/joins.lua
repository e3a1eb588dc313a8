-- Joins with the tokens of a file in turn, as many as told: wrk -s joins.lua URL -- FILE STREAM COUNT
local requests, asked, most = {}, 0, 0

function init(args)
  for token in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", "/v1/streams/" .. args[2] .. "/join", { ["Authorization"] = "Bearer " .. token })
  end
  most = tonumber(args[3])
end

function request()
  asked = asked + 1
  if asked == most then wrk.thread:stop() end
  return requests[asked % #requests + 1]
end

function done(summary)
  local errors = summary.errors
  io.write(string.format('\n{"requests":%d,"bytes":%d,"micros":%d,"errors":%d}\n', summary.requests, summary.bytes,
    summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
