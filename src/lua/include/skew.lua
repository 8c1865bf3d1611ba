--@include clock

-- The times in a session's text are by the clock of the server that used it, but Redis's clock ends the session. If the two
-- differ by at least MIN_SKEW ms, the flag " skew=<ms>" says how far the server's clock was ahead of Redis's when the session was
-- last prolonged. Readers subtract it to learn when the session ends. The flag has a fixed width, so it can be changed in place.
local MIN_SKEW = 250

-- Returns the flags of a session that is prolonged now. `now` is ms of the caller's clock.
local function with_skew(flags, now)
  local skew = now - clock()
  local before, present, after = string.match(flags, '^(.*) skew=(%S+)(.*)$')
  if math.abs(skew - (tonumber(present) or 0)) < MIN_SKEW then return flags end
  return (before or string.match(flags, '^(.-) *$')) .. string.format(' skew=%014.0f', skew) .. string.match(after or '', '^(.-) *$')
end

-- Replaces the flags in a session's text. Also returns the position after them. Keeps the spaces that reserve room for flags.
local function replace_flags(text, flags)
  local from, to = string.match(text, '^%d+\n%d+\n%d+\n[^ \n]+()[^\n]*()')
  if string.byte(text, to - 1) == 32 then flags = flags .. string.rep(' ', to - from - #flags) end
  return string.sub(text, 1, from - 1) .. flags .. string.sub(text, to), from + #flags
end

-- Changes the flags of a session in place, unless there is no room for them. `text` is the beginning of the session's text.
-- Returns whether they were changed.
local function patch_flags(session, text, flags)
  local from, to = string.match(text, '^%d+\n%d+\n%d+\n[^ \n]+()[^\n]*()')
  if #flags > to - from then return false end
  redis.call('SETRANGE', session, from - 1, flags .. string.rep(' ', to - from - #flags))
  return true
end
