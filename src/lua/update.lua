-- Changes a session that lives: its data, whose it is, and how long it may rest.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody; empty to leave it as it is
--        3    now, ms of the caller's clock
--        4    ttl from now on, seconds (may have a fraction); 0 for a session without end; empty to leave its life
--             as it is, which goes with an empty id
--        5    n, how many of the following are fields and values to write
--        6..  fields and values; after them the fields to remove
-- Reply  1, or 0 when there is no session; nothing is written then

--@include index
--@include fields
--@include owner
--@include forget
--@include remember
--@include clock

local session = KEYS[5]
local ref, id, now, ttl, written = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

local own = redis.call('HMGET', session, 'id', 'ttl')
if type(own[2]) ~= 'string' then return 0 end

local last = 5 + written
write_fields(session, 6, last)
remove_fields(session, last + 1, #ARGV)
if #ARGV > 5 then redis.call('HINCRBY', session, 'w', 1) end

if not ttl then return 1 end

local life = ttl * 1000
redis.call('HSET', session, 'la', now, 'ttl', ARGV[4])
if life > 0 then
  redis.call('PEXPIRE', session, string.format('%.0f', math.max(life, 1)))
else
  redis.call('PERSIST', session)
end

local before = owner(own[1])
if id == '' then id = before end
if id ~= before then
  forget(before, ref)
  if id == NOBODY then redis.call('HDEL', session, 'id') else redis.call('HSET', session, 'id', id) end
end
local due = clock() + life
remember(id, ref, now, due)
-- A session that ends earlier than it was to: what is left in the wiper's queue shall not have ended already.
local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
if score and score > due then redis.call('ZADD', expiry, due, id .. ref) end
return 1
