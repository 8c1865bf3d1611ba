-- Replaces a session's text with a staged one, if the session is still the one that the caller read. For changes that are too
-- much work for `set` and `update`; see sessions/large-sessions.ts.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    the staged text
-- ARGV   1    ref
--        2    now, ms of the caller's clock
--        3    'use' to reset the TTL as `set` does; 'keep' to keep the current expiry; or, as in `update`, the new ttl in
--             seconds (may have a fraction), 0 for a session that never expires
--        4    lines 3 to 6 of the session that the caller read: number of writes, ttl and flags, creation, id
--        5    its size in bytes
--        6    maximum number of sessions of a user, including this one; missing for no limit
-- Reply  an array with line 4 of the session, its ttl and flags, if the text was replaced
--        0 if the session has changed; nothing is written
--        -5 if the session would get a user who already has the maximum number of sessions; nothing is written
--        the tombstone at the session's key, or "" if there is none and no session; nothing is written
--        the error if the session's key is not a string; nothing is written

--@announce --@include announce
--@include index-keys
--@include parse
--@include read-header
--@include next-ttl
--@include skew
--@include replace-flags
--@include remove-from-index
--@include add-to-index
--@include record-uses
--@include count-refs

local session, staged = KEYS[6], KEYS[7]
local ref, now, use, read_lines, size = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])

-- Returns a reply when nothing is written. Deletes the staged text, which may be large, without waiting for its TTL.
local function discard(reply)
  redis.call('DEL', staged)
  return reply
end

local text, new_text = read_header(session), read_header(staged)
if type(text) == 'table' then return discard(text) end
if not text or is_tombstone(text) then return discard(text or '') end
local la, r = string.match(text, '^(%d+)\n(%d+)\n')
local _, _, _, present_id = parse(text)
-- A change of the user or of the ttl does not count as a write, so these lines are compared, too.
local present_lines = string.match(text, '^%d+\n%d+\n(%d+\n[^\n]*\n%d+\n[^\n]*)\n')
if present_lines ~= read_lines or redis.call('STRLEN', session) ~= size then return discard(0) end
local ttl, flags, _, id, new_la = parse(new_text or '')
-- The staged text has expired.
if not id then return 0 end
if ARGV[6] and id ~= present_id and id ~= ANONYMOUS and count_refs(id, field_of(id)) >= tonumber(ARGV[6]) then return discard(FULL) end

local is_touched = use ~= 'keep' and new_la == now
local ttl_ms
if is_touched then
  ttl_ms = ttl * 1000
  if use == 'use' or ttl_ms > 0 or string.find(flags, ' until ', 1, true) then ttl_ms = next_ttl(ttl, flags) end
end
local remaining = ttl_ms or redis.call('PTTL', session)
redis.call('RENAME', staged, session)
-- A PTTL of 0 means that less than a millisecond remains.
if remaining > 0 or (remaining == 0 and not ttl_ms) then
  redis.call('PEXPIRE', session, whole_ms(remaining))
else
  redis.call('PERSIST', session)
end
if ttl_ms and ttl_ms > 0 then
  local new_flags = with_skew(flags, now)
  if new_flags ~= flags and patch_flags(session, new_text, new_flags) then flags = new_flags end
end
-- Keep the time and the count of reads that happened while the caller prepared the text.
if not is_touched and #la == #new_la then redis.call('SETRANGE', session, '0', la) end
if string.match(new_text, '^%d+\n(%d+)') ~= r and #string.match(new_text, '^%d+\n(%d+)') == #r then
  redis.call('SETRANGE', session, #new_la + 1, r)
end

if use == 'use' then
  if is_touched then record_uses({ { id, ref, now, la } }) end
elseif use ~= 'keep' then
  if id ~= present_id then remove_from_index(present_id, ref) end
  local wipe_at = clock() + (ttl_ms or ttl * 1000)
  add_to_index(id, ref, now, wipe_at)
  -- If the session now ends earlier, the wiper must check it earlier.
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > wipe_at then redis.call('ZADD', expiry, wipe_at, id .. ref) end
  flush_owners()
end
--@announce -- Not if only the room for flags has changed: the number of writes, the ttl and the id are the same.
--@announce local PARTS = '^%d+\n%d+\n0*(%d+)\n([^ \n]+)[^\n]*\n%d+\n([^\n]*)'
--@announce local changed_to = table.concat({ string.match(new_text, PARTS) }, '\n')
--@announce if table.concat({ string.match(text, PARTS) }, '\n') ~= changed_to then announce('changed', ref, id) end
--@announce publish()
return { ttl .. flags }
