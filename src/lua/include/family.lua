--@include clock
--@include whole-ms

-- All tokens that one session has had are a family. Its record is one text of words:
--   ref of the current token
--   ref of the token before, if the current one has not been used yet
--   grace in ms, and the salt of the current token: only if the token before is valid until the current one is used
-- A session whose token was rotated has the flag " rotated=1", or " rotated=0" until its current token is used.

-- Returns the TTL of the record, ms. `left` is that of the session. A session that use prolongs may live as long as it is
-- used. Its record is therefore prolonged by use, twice in each ttl (see sessions/families.ts), and survives if that fails once.
local function family_ttl(left, ttl, flags)
  local end_ms = string.match(flags, ' until (%d+)')
  if end_ms then return whole_ms(end_ms - clock()) end
  if string.find(flags, ' no_resave', 1, true) then return whole_ms(left) end
  return whole_ms(2000 * ttl)
end

-- Returns the value of the flag, '0' or '1', and its offset in the text. Returns nothing if the session was never rotated.
local function rotated_flag(text)
  local head, value = string.match(text, '^(%d+\n%d+\n%d+\n[^\n]* rotated=)([01])')
  if value then return value, #head end
end
