-- The session's own fields by name. Data fields are JSON-quoted, so they begin with a quotation mark.
local function meta_of(fields)
  local meta = {}
  for i = 1, #fields, 2 do
    local name = fields[i]
    if string.byte(name) ~= 34 then meta[name] = fields[i + 1] end
  end
  return meta
end
