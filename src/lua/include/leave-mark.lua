-- Leaves a mark for `mark_for` ms where a session was: a request that is still under way, and does not tell whether it
-- had loaded the session, shall not bring it back. With 0 nothing is left. (A Redis that is out of memory
-- refuses SET, unless the script has written before: the session is deleted first.)
local function leave_mark(session, mark_for)
  if mark_for > 0 then redis.call('SET', session, '>', 'PX', mark_for) end
end
