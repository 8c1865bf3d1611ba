--@include touch-user
--@include add-owner

-- Writes a session's index entries. The caller must call flush_owners() afterwards. `wipe_at` is the time at which the
-- wiper checks the session first, ms of Redis's clock.
local function add_to_index(id, ref, la, wipe_at)
  redis.call('ZADD', active, la, ref)
  redis.call('ZADD', expiry, 'NX', wipe_at, id .. ref)
  if id ~= ANONYMOUS then
    touch_user(id, la)
    add_owner(id, ref)
  end
end
