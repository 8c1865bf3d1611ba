-- Leaves a mark for `tombstone_ttl` ms where a session was: a request that is still under way, and does not tell whether it
-- had loaded the session, shall not bring it back. With 0 nothing is left. (A Redis that is out of memory
-- refuses SET, unless the script has written before: the session is deleted first.)
local function leave_tombstone(session, tombstone_ttl)
  if tombstone_ttl > 0 then redis.call('SET', session, '>', 'PX', tombstone_ttl) end
end
