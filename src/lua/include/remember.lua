-- Writes a session's index entries. `due` is when the wiper looks at it first (ms, Redis's clock).
local function remember(id, ref, la, due)
  redis.call('ZADD', active, la, ref)
  redis.call('ZADD', expiry, 'NX', due, id .. ref)
  if id ~= NOBODY then
    -- Another session of the user may have been active later. (ZADD GT would do, but not every stand-in has it.)
    local last = tonumber(redis.call('ZSCORE', users, id))
    if not last or last < tonumber(la) then redis.call('ZADD', users, la, id) end
    redis.call('ZADD', owners, 0, id .. ref)
  end
end
