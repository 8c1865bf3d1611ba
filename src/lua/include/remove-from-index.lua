--@include remove-owner

-- Removes a session's index entries. The caller must call flush_owners() afterwards.
local function remove_from_index(id, ref)
  redis.call('ZREM', active, ref)
  redis.call('ZREM', expiry, id .. ref)
  if id ~= ANONYMOUS then remove_owner(id, ref) end
end
