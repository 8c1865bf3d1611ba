-- Creates a session together with its index entries.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody
--        3    now, ms of the caller's clock
--        4    ttl, seconds
--        5..  fields and values of the session
-- Reply  1

--@include index
--@include remember
--@include clock

local session = KEYS[5]
local ref, id, now, ttl = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local life = ttl * 1000

for i = 5, #ARGV, 1000 do
  redis.call('HSET', session, unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
redis.call('PEXPIRE', session, string.format('%.0f', life))
remember(id, ref, now, clock() + life)
return 1
