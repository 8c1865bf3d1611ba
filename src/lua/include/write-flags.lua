-- Returns flags without the flags of the last use, and without spaces at the end.
local function without_last_use(flags)
  return string.match(string.gsub(flags, ' last%a+=%S+', ''), '^(.-) *$')
end

-- Writes other flags on line 4 of a session. `text` is the session's text, as read() returned it; `flags` must not end with
-- spaces. Returns the new text; nil if the flags do not fit; or the error.
--
-- Only the beginning of a large text was read, so its length must not change. Spaces after its flags make room for this; see
-- reserve() in sessions/session-text.ts.
local function write_flags(session, text, flags)
  local from, to = string.match(text, '^%d+\n%d+\n%d+\n[^ \n]+()[^\n]*()')
  if #text > MAX_TEXT then
    if #flags > to - from then return nil end
    flags = flags .. string.rep(' ', to - from - #flags)
  end
  local new = string.sub(text, 1, from - 1) .. flags .. string.sub(text, to)
  -- When Redis is out of memory it refuses SET and SETRANGE unless the script has written before, see get.lua.
  redis.call('ZREM', active, '')
  local written
  if #new == #text then
    written = redis.pcall('SETRANGE', session, from - 1, flags)
  else
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  end
  if type(written) == 'table' and written.err then return written end
  return new
end
