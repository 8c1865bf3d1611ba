--@include touch-user
--@include user-sessions

-- Writes a session's index entries; flush_owners() is to follow. `due` is when the wiper looks at it first (ms, Redis's clock).
local function add_to_index(id, ref, la, due)
  redis.call('ZADD', active, la, ref)
  redis.call('ZADD', expiry, 'NX', due, id .. ref)
  if id ~= ANONYMOUS then
    touch_user(id, la)
    add_owner(id, ref)
  end
end
