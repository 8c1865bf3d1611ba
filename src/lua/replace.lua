-- Writes a session whole, in the place of whatever is there (whose creation it keeps).
--
-- KEYS   1-5  the index, see include/index.lua
--        6    the session
--        7, 8 in the mode 'absent': the bars of the user and of the app, see bar-legacy.lua
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody
--        3    now, ms of the caller's clock
--        4    ttl, seconds (may have a fraction); 0 for a session without end
--        5    'any' to write in any case, 'unended' to write unless a session was ended here a short while ago,
--             'absent' to write only where neither that nor a session is, nor a bar
--        6    its text, see include/session.lua
-- Reply  1 when it was written, 0 when it was not

--@include index
--@include parse
--@include forget
--@include remember
--@include clock
--@include whole-ms

local session, barred, all_barred = KEYS[6], KEYS[7], KEYS[8]
local ref, id, now, ttl, mode, text = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local life = ttl * 1000

local there = redis.call('GET', session) or ''
if mode ~= 'any' and is_mark(there) then return 0 end
local _, _, created, before = parse(there)
if mode == 'absent' and (before or redis.call('EXISTS', barred, all_barred) > 0) then return 0 end

if created then text = string.gsub(text, '^(%d+\n%d+\n%d+\n[^\n]*\n)%d+', '%1' .. created) end
if life > 0 then
  redis.call('SET', session, text, 'PX', whole_ms(life))
else
  redis.call('SET', session, text)
end
if before and before ~= id then forget(before, ref) end
redis.call('ZREM', expiry, id .. ref)
remember(id, ref, now, clock() + life)
settle()
return 1
