--@include clock

-- The times in a session's text are by the clock of the server that used it, but Redis's clock ends the session. If the two
-- differ by at least MIN_SKEW ms, the flag " skew=<ms>" says how far the server's clock was ahead of Redis's when the session was
-- last prolonged. Readers subtract it to learn when the session ends. The flag has a fixed width, so it can be changed in place.
local MIN_SKEW = 250

-- Returns the flags of a session that is prolonged now. `now` is ms of the caller's clock.
local function with_skew(flags, now)
  local skew = now - clock()
  if flags == '' and math.abs(skew) < MIN_SKEW then return flags end
  local before, present, after = string.match(flags, '^(.*) skew=(%S+)(.*)$')
  if math.abs(skew - (tonumber(present) or 0)) < MIN_SKEW then return flags end
  return (before or string.match(flags, '^(.-) *$')) .. string.format(' skew=%014.0f', skew) .. string.match(after or '', '^(.-) *$')
end
