-- A life in ms as Redis takes it: whole, and not 0.
local function whole_ms(life)
  return math.max(math.floor(life + 0.5), 1)
end
