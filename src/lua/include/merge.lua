-- The text of a session with its data changed key by key. A line of `changes` is `"key":value`, or `"key":` alone to
-- remove the key; each has a line break in front of it. There is no quotation mark within a key, so no other line of the
-- text can be taken for that of a key.
local function merge(text, changes)
  -- Few changes are put in one by one. With many of much data that would take the square of the time.
  if #text * #changes < 1000000 then
    for line, key in string.gmatch(changes, '((\n"[^"]*":)[^\n]*)') do
      local from, to = string.find(text, key, 1, true)
      if #line == #key then line = '' end
      if from then
        local rest = string.find(text, '\n', to, true)
        text = string.sub(text, 1, from - 1) .. line .. (rest and string.sub(text, rest) or '')
      else
        text = text .. line
      end
    end
    return text
  end
  local own, data = string.match(text, '^([^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*)(.*)')
  local values, lines = {}, {}
  for key, value in string.gmatch(data .. changes, '(\n"[^"]*":)([^\n]*)') do
    if not values[key] then lines[#lines + 1] = key end
    values[key] = value
  end
  for i, key in ipairs(lines) do lines[i] = values[key] == '' and '' or key .. values[key] end
  return own .. table.concat(lines)
end
