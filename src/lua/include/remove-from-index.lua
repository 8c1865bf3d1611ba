--@include user-sessions

-- Removes a session from the index; flush_owners() is to follow.
local function remove_from_index(id, ref)
  redis.call('ZREM', active, ref)
  redis.call('ZREM', expiry, id .. ref)
  if id ~= ANONYMOUS then remove_owner(id, ref) end
end
