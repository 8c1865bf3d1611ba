-- The lines of a text. There are no empty ones.
local function lines(text)
  local found, count = {}, 0
  for line in string.gmatch(text, '[^\n]+') do
    count = count + 1
    found[count] = line
  end
  return found, count
end
