-- Leaves a mark for `grave` ms where a session was: a request that is still under way, and does not tell whether it
-- had loaded the session, shall not bring it back. Without a grave nothing is left. (A Redis that is out of memory
-- refuses SET, unless the script has written before: the session is deleted first.)
local function bury(session, grave)
  if grave > 0 then redis.call('SET', session, '>', 'PX', grave) end
end
