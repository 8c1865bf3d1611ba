-- Ends sessions.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1    how long a mark is left where a session was, ms; 0 for none
--        2..  the refs of the sessions
-- Reply  for each session 1 when it was ended, 0 when there was none
--        "<ref>" for one that was rotated to <ref>; nothing is written
--        the error of one that is no hash

--@include index
--@include replies
--@include owner
--@include forget
--@include bury

local grave = tonumber(ARGV[1])

for i = 1, #replies do
  local session = KEYS[4 + i]
  local own = redis.pcall('HMGET', session, 'id', 'to')
  if own.err then
    replies[i] = own
  elseif type(own[2]) == 'string' then
    replies[i] = own[2]
  else
    local killed = redis.call('DEL', session)
    bury(session, grave)
    if killed == 1 then forget(owner(own[1]), ARGV[1 + i]) end
    replies[i] = killed
  end
end
return replies
