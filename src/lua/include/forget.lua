--@include owned

-- Removes a session from the index, and its user when this was the last session.
local function forget(id, ref)
  redis.call('ZREM', active, ref)
  redis.call('ZREM', expiry, id .. ref)
  if id ~= NOBODY then
    redis.call('ZREM', owners, id .. ref)
    if #owned(id, 1) == 0 then redis.call('ZREM', users, id) end
  end
end
