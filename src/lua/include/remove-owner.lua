--@include user-sessions

-- Removes a ref from a user's sessions.
local function remove_owner(id, ref)
  local field = field_of(id)
  local from, to = string.find(field, '\n' .. ref .. '\n', 1, true)
  if from then
    fields[id] = string.sub(field, 1, from) .. string.sub(field, to + 1)
  else
    overflow_removals[id .. ref] = true
  end
  changed[id] = true
end
