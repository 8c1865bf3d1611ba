--@include note-user
--@include owners

-- Writes a session's index entries; settle() is to follow. `due` is when the wiper looks at it first (ms, Redis's clock).
local function remember(id, ref, la, due)
  redis.call('ZADD', active, la, ref)
  redis.call('ZADD', expiry, 'NX', due, id .. ref)
  if id ~= NOBODY then
    note_user(id, la)
    own(id, ref)
  end
end
