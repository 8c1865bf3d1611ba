-- Moves a session to a new ref. Leaves a redirect or a tombstone under the old one.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    the session under its new ref
--        8    the mark that the session was rotated lately, and so has no longer the old ref
--        9    the record of the token's family, see include/family.lua; missing if the session has no token (RedisStore)
-- ARGV   1    ref
--        2    new ref
--        3    grace: TTL of the redirect, ms; 0 to leave a tombstone
--        4    TTL of the tombstone, ms; 0 for none
--        5    TTL of the mark after the grace, ms
--        6    salt of the new token if the old one stays valid until the new one is used, otherwise empty; missing if the
--             session has no token
-- Reply  1 if the session was moved, also if the same call is repeated: ioredis repeats a command whose reply was lost
--        nil if there is no session under this ref, or if it was rotated before
--        the salt of the current token if the token was rotated before and is still valid
--        0 if this token was not used since it took the place of another: see.lua must run first; nothing is written
--        -3 if the text is larger than a script reads, and its header has no room for the flag; nothing is written
--        the error if the key is not a string; nothing is written

--@announce --@include announce
--@include index-keys
--@include parse
--@include read-header
--@include remove-from-index
--@include add-to-index
--@include leave-tombstone
--@include family
--@include read
--@include work
--@include write-flags

local session, moved, mark, family = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local ref, new_ref, grace, tombstone_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local mark_ttl, salt = tonumber(ARGV[5]), ARGV[6]

local text = read_header(session) or ''
if type(text) == 'table' then return text end
-- The new ref is random, so only this same call can have created a session under it.
if text == '>' .. new_ref or (text == '>' and redis.call('EXISTS', moved) == 1) then return 1 end
local ttl, flags, _, id, la = parse(text)
if not id then
  if not family then return nil end
  local before, present_salt = string.match(redis.call('GET', family) or '', '^%S+ (%S+) %d+ (%S+)$')
  return before == ref and present_salt or nil
end
local rotated, offset = rotated_flag(text)
if family and rotated == '0' then return 0 end
-- Read here, because in ioredis-mock KEEPTTL and RENAME drop the TTL.
local left = redis.call('PTTL', session)
if family and not rotated then
  -- The flag is set before RENAME, because a text without room for it must stay where it is.
  local whole = read(session)
  local written = write_flags(session, whole, flags .. ' rotated=0')
    or write_flags(session, whole, without_last_use(flags) .. ' rotated=0')
  if not written then return TOO_MUCH end
  if type(written) == 'table' then return written end
end

local wipe_at = redis.call('ZSCORE', expiry, id .. ref)
-- When Redis is out of memory, the commands after RENAME are allowed because it has written.
redis.call('RENAME', session, moved)
add_to_index(id, new_ref, la, type(wipe_at) == 'string' and wipe_at or '0')
remove_from_index(id, ref)
flush_owners()

local redirect_ttl = grace
if family then
  if rotated then redis.call('SETRANGE', moved, offset, '0') end
  local record = new_ref .. ' ' .. ref
  if salt ~= '' then
    record = record .. ' ' .. ARGV[3] .. ' ' .. salt
    redirect_ttl = math.max(grace, left)
  end
  redis.call('SET', family, record, 'PX', family_ttl(left, ttl, flags))
end
redis.call('SET', mark, '1', 'PX', grace + mark_ttl)
if redirect_ttl > 0 then
  redis.call('SET', session, '>' .. new_ref, 'PX', redirect_ttl)
else
  leave_tombstone(session, tombstone_ttl)
end
--@announce announce('rotated', ref, id, new_ref)
--@announce publish()
return 1
