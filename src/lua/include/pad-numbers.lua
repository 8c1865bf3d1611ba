-- Gives the numbers of a large session a fixed width, and pads its flags with spaces, so that scripts can change them in place.
-- The same as padNumbers() in sessions/session-text.ts.
local function pad_numbers(text)
  local la, r, w, line4, rest = string.match(text, '^(%d+)\n(%d+)\n(%d+)\n([^\n]*)()')
  local lines = { la, string.format('%010d', r), string.format('%010d', w), line4 .. string.rep(' ', 512 - #line4) }
  return table.concat(lines, '\n') .. string.sub(text, rest)
end
