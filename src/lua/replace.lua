-- Writes a session whole, in the place of whatever is there (whose creation it keeps).
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7, 8 the bars of the user and of the app, see bar-legacy.lua
--        9    where its text lies, instead of ARGV[6], when that is large; see sessions/large-sessions.ts
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for nobody
--        3    now, ms of the caller's clock
--        4    ttl, seconds (may have a fraction); 0 for a session without end
--        5    'any' to write in any case, 'unended' to write unless a session was ended here a short while ago,
--             'absent' to write only where neither that nor a session is, nor a bar
--        6    its text, see include/session.lua
-- Reply  1 when it was written, 0 when it was not

--@include index-keys
--@include parse
--@include read-header
--@include remove-from-index
--@include add-to-index
--@include clock
--@include whole-ms

local session, barred, all_barred, staged = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local ref, id, now, ttl, mode, text = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local life = ttl * 1000

-- Answers where nothing is written. A text that lies elsewhere, which may be large, must not wait for its TTL.
local function discard(reply)
  if staged then redis.call('DEL', staged) end
  return reply
end

local there = read_header(session) or ''
if type(there) == 'table' then return discard(there) end
if mode ~= 'any' and is_tombstone(there) then return discard(0) end
local _, _, created, before = parse(there)
local writes = string.match(there, '^%d+\n%d+\n(%d+)\n')
if mode == 'absent' and (before or redis.call('EXISTS', barred, all_barred) > 0) then return discard(0) end

-- Its creation, and how often it was written: so no two texts of it are taken for the same.
if staged then
  local head = read_header(staged) or ''
  local w, after_w, c, after_c = string.match(head, '^%d+\n%d+\n()%d+()\n[^\n]*\n()%d+()')
  if not w then return 0 end
  redis.call('RENAME', staged, session)
  if created then
    redis.call('SETRANGE', session, w - 1, string.sub(string.format('%010d', writes + 1), w - after_w))
    if #created == after_c - c then redis.call('SETRANGE', session, c - 1, created) end
  end
  if life > 0 then redis.call('PEXPIRE', session, whole_ms(life)) else redis.call('PERSIST', session) end
else
  if created then
    local w = string.format('%d', writes + 1)
    text = string.gsub(text, '^(%d+\n%d+\n)%d+(\n[^\n]*\n)%d+', '%1' .. w .. '%2' .. created)
  end
  if life > 0 then
    redis.call('SET', session, text, 'PX', whole_ms(life))
  else
    redis.call('SET', session, text)
  end
end
if before and before ~= id then remove_from_index(before, ref) end
redis.call('ZREM', expiry, id .. ref)
add_to_index(id, ref, now, clock() + life)
flush_owners()
return 1
