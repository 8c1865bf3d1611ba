-- Writes a whole session over whatever is stored under its ref. The time of creation and the flags of an existing session are
-- kept.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7, 8 in the mode 'absent' the bars of the user and of the app, see bar-legacy.lua; in the others KEYS[7] is the mark that
--             the session was rotated lately, see rotate.lua
--        9    in the mode 'absent' the mark that the session was taken over; in the others the first index key, or missing
--        10   the staged text if that is large (ARGV[6] is then unused), see sessions/large-sessions.ts; else missing
-- ARGV   1    ref
--        2    id, as JSON; "" (two quotation marks) for an anonymous session
--        3    now, ms of the caller's clock
--        4    seconds until the session ends if nobody uses it (may have a fraction); 0 for a session without an idle timeout. Less
--             than the ttl of the text if the session was last used before `now`
--        5    mode: 'any' to write in any case, 'unended' to write unless there is a tombstone or the mark of a rotation,
--             'absent' to write only if there is no tombstone, no session, no bar and no mark; sets the mark
--        6    text, see include/session.lua
--        7    absolute lifetime of a new session, ms; 0 for none; missing, as the next one, if there is no limit
--        8    maximum number of sessions of the user, including this one; 0 for no limit
--        9    TTL of the mark, ms; only in the mode 'absent'
-- Reply  1 if the session was written
--        0 if it was not, because it has ended: there is a tombstone, a bar or a mark
--        -1 if it was not, because there is a session
--        -5 if it was not, because the user has the maximum number of sessions
--        the redirect if the session was rotated, in the modes 'any' and 'unended'; nothing is written
--        the error if the key is not a string; nothing is written

--@announce --@include announce
--@include index-keys
--@include parse
--@include read-header
--@include remove-from-index
--@include add-to-index
--@include skew
--@include replace-flags
--@include whole-ms

local session, bar_or_mark, app_bar, mark, staged = KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local ref, id, now, ttl, mode, text = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local absolute, max_per_user = tonumber(ARGV[7] or 0), tonumber(ARGV[8] or 0)
local ttl_ms = ttl * 1000

-- Returns a reply when nothing is written. Deletes a staged text, which may be large, without waiting for its TTL.
local function discard(reply)
  if staged then redis.call('DEL', staged) end
  return reply
end

local present = read_header(session) or ''
if type(present) == 'table' then return discard(present) end
if is_tombstone(present) then
  if #present > 1 and (mode == 'any' or mode == 'unended') then return present end
  if mode ~= 'any' then return discard(0) end
end
local _, flags, created, present_id = parse(present)
local writes = string.match(present, '^%d+\n%d+\n(%d+)\n')
if mode == 'absent' then
  if present_id then return discard(-1) end
  if redis.call('EXISTS', bar_or_mark, app_bar, mark) > 0 then return discard(0) end
elseif mode == 'unended' and not present_id and redis.call('EXISTS', bar_or_mark) == 1 then
  return discard(0)
end
if max_per_user > 0 and id ~= ANONYMOUS and id ~= present_id then
  --@include count-refs
  if count_refs(id, field_of(id)) >= max_per_user then return FULL end
end

if staged then text = read_header(staged) or '' end
if not flags then
  local _, own = parse(text)
  flags = own or ''
  if absolute > 0 then flags = flags .. string.format(' until %.0f', clock() + absolute) end
end
local end_ms = string.match(flags, ' until (%d+)')
if end_ms then
  local left = math.max(end_ms - clock(), 1)
  ttl_ms = ttl_ms > 0 and math.min(ttl_ms, left) or left
end
if ttl_ms > 0 then flags = with_skew(flags, now) end

-- Keep the time of creation and increase the number of writes. The two together identify a version of the text, so they must
-- not repeat.
if staged then
  local w, after_w, c, after_c = string.match(text, '^%d+\n%d+\n()%d+()\n[^\n]*\n()%d+()')
  if not w then return 0 end
  redis.call('RENAME', staged, session)
  if created then
    redis.call('SETRANGE', session, w - 1, string.sub(string.format('%010d', writes + 1), w - after_w))
    if #created == after_c - c then redis.call('SETRANGE', session, c - 1, created) end
  end
  if flags ~= '' then patch_flags(session, text, flags) end
  if ttl_ms > 0 then redis.call('PEXPIRE', session, whole_ms(ttl_ms)) else redis.call('PERSIST', session) end
else
  if created then
    local w = string.format('%d', writes + 1)
    text = string.gsub(text, '^(%d+\n%d+\n)%d+(\n[^\n]*\n)%d+', '%1' .. w .. '%2' .. created)
  end
  if flags ~= '' then text = replace_flags(text, flags) end
  if ttl_ms > 0 then
    redis.call('SET', session, text, 'PX', whole_ms(ttl_ms))
  else
    redis.call('SET', session, text)
  end
end
--@announce local was_listed = redis.call('ZSCORE', expiry, id .. ref)
--@announce if was_listed and not present_id then announce('ended', ref, id, 'expired') end
--@announce -- A session of another package is not new: nobody signs in.
--@announce if mode ~= 'absent' then announce(present_id and 'changed' or 'created', ref, id) end
if present_id and present_id ~= id then remove_from_index(present_id, ref) end
redis.call('ZREM', expiry, id .. ref)
add_to_index(id, ref, string.match(text, '^%d+'), clock() + ttl_ms)
flush_owners()
if mode == 'absent' then redis.call('SET', mark, '1', 'PX', ARGV[9]) end
--@announce publish()
return 1
