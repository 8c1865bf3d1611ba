-- Moves a session to a new ref; the old one forwards to it for a while.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
--        6    the session's new place
-- ARGV   1    ref
--        2    new ref
--        3    grace, ms that the old ref goes on working
-- Reply  1 when the session was moved (also when the very same call comes again: ioredis repeats
--          a command whose answer was lost with the connection)
--        nil when there is no session under this ref, or when it was rotated before

--@include index
--@include owner
--@include forget
--@include remember

local session, moved = KEYS[5], KEYS[6]
local ref, new_ref, grace = ARGV[1], ARGV[2], tonumber(ARGV[3])

local own = redis.call('HMGET', session, 'id', 'la', 'ttl', 'to')
if own[4] == new_ref then return 1 end
if type(own[3]) ~= 'string' then return nil end

local id = owner(own[1])
local due = redis.call('ZSCORE', expiry, id .. ref)
redis.call('RENAME', session, moved)
-- The new entries first: a user whose only session moves must not vanish from the users.
remember(id, new_ref, own[2], type(due) == 'string' and due or own[2])
forget(id, ref)
if grace > 0 then
  redis.call('HSET', session, 'to', new_ref)
  redis.call('PEXPIRE', session, grace)
end
return 1
