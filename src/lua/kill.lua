-- Ends one session.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    how long a mark is left where the session was, ms; absent or 0 for none
-- Reply  1 when the session was ended, 0 when there was none
--        "<ref>" when the session was rotated to <ref>; nothing is written

--@include index
--@include owner
--@include forget
--@include bury

local session = KEYS[5]
local ref, grave = ARGV[1], tonumber(ARGV[2] or 0)

local own = redis.call('HMGET', session, 'id', 'to')
if type(own[2]) == 'string' then return own[2] end
local killed = redis.call('DEL', session)
bury(session, grave)
if killed == 1 then forget(owner(own[1]), ref) end
return killed
