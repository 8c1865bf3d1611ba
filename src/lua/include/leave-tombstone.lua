-- Stores a tombstone in place of a session for `tombstone_ttl` ms, or nothing if that is 0. A request that is still running
-- may write the session again without having loaded it. The tombstone prevents that.
-- When Redis is out of memory it refuses SET unless the script has written before, so the session must be deleted first.
local function leave_tombstone(session, tombstone_ttl)
  if tombstone_ttl > 0 then redis.call('SET', session, '>', 'PX', tombstone_ttl) end
end
