-- Merges data into a session, key by key, counts the write and prolongs the session.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    now, ms of the caller's clock
--        3    n, how many of the following are fields and values to write
--        4..  fields and values; after them the fields to remove
-- Reply  fields and values joined by line feeds, as they are now
--        "to\n<ref>" when the session was rotated to <ref>; nothing is written
--        nil when there is no session; nothing is written

--@include index
--@include fields
--@include prolong

local session = KEYS[5]
local ref, now, written = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local own = redis.call('HMGET', session, 'la', 'ttl', 'to')
if type(own[3]) == 'string' then return 'to\n' .. own[3] end
if type(own[2]) ~= 'string' then return nil end

local last = 3 + written
write_fields(session, 4, last)
remove_fields(session, last + 1, #ARGV)
redis.call('HINCRBY', session, 'w', 1)
local la = tonumber(own[1])
if is_due(la, now, 1000) then prolong(session, ref, la, now) end
return table.concat(redis.call('HGETALL', session), '\n')
