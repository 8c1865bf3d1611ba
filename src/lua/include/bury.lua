-- Leaves a mark for `grave` ms where a session was: a request that is still under way, and does not tell whether it
-- had loaded the session, shall not bring it back. Without a grave nothing is left.
local function bury(session, grave)
  if grave > 0 then
    redis.call('HSET', session, 'to', '')
    redis.call('PEXPIRE', session, grave)
  end
end
