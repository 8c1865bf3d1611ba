--@include user-sessions

-- Adds a ref to a user's sessions. `is_new` says that the overflow does not contain the ref.
local function add_owner(id, ref, is_new)
  local field = field_of(id)
  if string.find(field, '\n' .. ref .. '\n', 1, true) then return end
  if #field < MAX_FIELD then
    fields[id] = field .. ref .. '\n'
    if not is_new then overflow_removals[id .. ref] = true end
  else
    redis.call('ZADD', user_sessions_overflow, '0', id .. ref)
    overflow_removals[id .. ref] = nil
    if has_overflow(field) then return end
    fields[id] = '+' .. field
  end
  changed[id] = true
end
