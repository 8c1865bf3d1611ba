-- Gives the numbers of a large session a fixed width, so that scripts can change them in place. The same as padNumbers() in
-- sessions/large-sessions.ts.
local function pad_numbers(text)
  local la, r, w, ttl, flags, rest = string.match(text, '^(%d+)\n(%d+)\n(%d+)\n([^ \n]+)([^\n]*)()')
  if not string.find(flags, ' skew=', 1, true) then flags = flags .. ' skew=00000000000000' end
  local lines = { la, string.format('%010d', r), string.format('%010d', w), string.rep('0', 14 - #ttl) .. ttl .. flags }
  return table.concat(lines, '\n') .. string.sub(text, rest)
end
