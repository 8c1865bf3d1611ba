-- Puts a text in the place of a session's, if that is still the one that its writer has read. For what is too much work
-- for `set` and `update`; see sessions/large-sessions.ts.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    where its new text lies
-- ARGV   1    ref
--        2    now, ms of the caller's clock
--        3    how it was used: 'use' to prolong it as `set` does; 'keep' to leave its life as it is; or, as in `update`, its
--             ttl from now on, seconds (may have a fraction), 0 for a session without end
--        4    when the session that was read was created, ms
--        5    how often it had been written
--        6    how many bytes it had
-- Reply  1 when it was written
--        0 when the session is another by now; nothing is written
--        the mark that stands there, or "" where nothing is; nothing is written

--@include index-keys
--@include parse
--@include read-header
--@include next-ttl
--@include remove-from-index
--@include add-to-index
--@include record-uses

local session, staged = KEYS[6], KEYS[7]
local ref, now, use, created, written, size = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])

-- Answers where nothing is written. The new text, which may be large, must not wait for its TTL.
local function discard(reply)
  redis.call('DEL', staged)
  return reply
end

local text, head = read_header(session), read_header(staged)
if type(text) == 'table' then return discard(text) end
if not text or is_tombstone(text) then return discard(text or '') end
local la, r, w = string.match(text, '^(%d+)\n(%d+)\n(%d+)\n')
local _, _, since, before = parse(text)
if since ~= created or w ~= written or redis.call('STRLEN', session) ~= size then return discard(0) end
local ttl, flags, _, id, new_la = parse(head or '')
-- The new text has a short life where it lies.
if not id then return 0 end

local life
if use == 'use' then
  if new_la ~= la then life = next_ttl(ttl, flags) end
elseif use ~= 'keep' then
  life = ttl * 1000
  if flags ~= '' then life = next_ttl(ttl, flags) end
end
local left = life or redis.call('PTTL', session)
redis.call('RENAME', staged, session)
if left > 0 then redis.call('PEXPIRE', session, whole_ms(left)) else redis.call('PERSIST', session) end
-- What has read it meanwhile counts.
if string.match(head, '^%d+\n(%d+)') ~= r and #string.match(head, '^%d+\n(%d+)') == #r then
  redis.call('SETRANGE', session, #new_la + 1, r)
end

if use == 'use' then
  if new_la ~= la then record_uses({ { id, ref, now, la } }) end
elseif use ~= 'keep' then
  if id ~= before then remove_from_index(before, ref) end
  local due = clock() + (life or ttl * 1000)
  add_to_index(id, ref, now, due)
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > due then redis.call('ZADD', expiry, due, id .. ref) end
  flush_owners()
end
return 1
