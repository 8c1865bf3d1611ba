-- Writes a session whole, in the place of whatever is there (whose creation it keeps).
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody
--        3    now, ms of the caller's clock
--        4    ttl, seconds (may have a fraction); 0 for a session without end
--        5    'any' to write in any case, 'unended' to write unless a session was ended here a short while ago,
--             'absent' to write only where neither that nor a session is
--        6    fields and values of the session, as lines
-- Reply  1 when it was written, 0 when it was not

--@include index
--@include owner
--@include forget
--@include remember
--@include clock
--@include fields

local session = KEYS[5]
local ref, id, now, ttl, mode = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local life = ttl * 1000

local own = redis.call('HMGET', session, 'id', 'ttl', 'to', 'created')
local lives, ended = type(own[2]) == 'string', type(own[3]) == 'string'
if mode ~= 'any' and ended then return 0 end
if mode == 'absent' and lives then return 0 end

redis.call('DEL', session)
if lives and owner(own[1]) ~= id then forget(owner(own[1]), ref) end
write_fields(session, ARGV[6])
if lives then redis.call('HSET', session, 'created', own[4]) end
if life > 0 then redis.call('PEXPIRE', session, math.max(math.floor(life + 0.5), 1)) end
redis.call('ZREM', expiry, id .. ref)
remember(id, ref, now, clock() + life)
return 1
