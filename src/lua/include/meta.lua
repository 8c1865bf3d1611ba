-- One of the session's own fields, out of names and values. `la` comes first, and is all that most calls need.
local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end
