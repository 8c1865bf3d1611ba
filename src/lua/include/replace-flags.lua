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
