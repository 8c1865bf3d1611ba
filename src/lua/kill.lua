-- Ends one session.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
-- Reply  1 when the session was ended, 0 when there was none
--        "<ref>" when the session was rotated to <ref>; nothing is written

--@include index
--@include owner
--@include forget

local session = KEYS[5]
local ref = ARGV[1]

local own = redis.call('HMGET', session, 'id', 'to')
if type(own[2]) == 'string' then return own[2] end
if redis.call('DEL', session) == 0 then return 0 end
forget(owner(own[1]), ref)
return 1
