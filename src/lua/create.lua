-- Creates a session together with its index entries.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody
--        3    now, ms of the caller's clock
--        4    ttl, seconds
--        5    how long it may live in all, seconds; 0 for as long as it is used
--        6    how many sessions the user may have, this one included; 0 for any number
--        7..  fields and values of the session
-- Reply  1, or 0 when the user has as many sessions as they may have; nothing is written then

--@include index
--@include owned
--@include remember
--@include clock
--@include fields

local session = KEYS[5]
local ref, id, now = ARGV[1], ARGV[2], ARGV[3]
local ttl, absolute, limit = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])

if limit > 0 and #owned(id, limit) >= limit then return 0 end

local start, life = clock(), ttl * 1000
if absolute > 0 then
  life = math.min(life, absolute * 1000)
  redis.call('HSET', session, 'end', string.format('%.0f', start + absolute * 1000))
end
write_fields(session, 7, #ARGV)
redis.call('PEXPIRE', session, string.format('%.0f', life))
remember(id, ref, now, start + life)
return 1
