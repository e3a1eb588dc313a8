-- Asks for the paths of a file, one after another, over and over: wrk -s rotate.lua URL -- FILE
local requests, at = {}, 0

function init(args)
  for path in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary)
  local errors = summary.errors
  io.write(string.format('\n{"requests":%d,"bytes":%d,"micros":%d,"errors":%d}\n', summary.requests, summary.bytes,
    summary.duration, errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
