--@include owners

-- Removes a session from the index; settle() is to follow.
local function forget(id, ref)
  redis.call('ZREM', active, ref)
  redis.call('ZREM', expiry, id .. ref)
  if id ~= NOBODY then disown(id, ref) end
end
