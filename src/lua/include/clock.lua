-- Returns Redis's time in ms. It is the same in the whole run.
local time_ms
local function clock()
  if not time_ms then
    local time = redis.call('TIME')
    time_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return time_ms
end
