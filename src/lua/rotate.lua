-- Moves a session to a new ref. Leaves a redirect or a tombstone under the old one.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    the session under its new ref
-- ARGV   1    ref
--        2    new ref
--        3    grace: TTL of the redirect, ms; 0 to leave a tombstone
--        4    TTL of the tombstone, ms; 0 for none
-- Reply  1 if the session was moved, also if the same call is repeated: ioredis repeats a command whose reply was lost
--        nil if there is no session under this ref, or if it was rotated before
--        the error if the key is not a string; nothing is written

--@include index-keys
--@include parse
--@include read-header
--@include remove-from-index
--@include add-to-index
--@include leave-tombstone

local session, moved = KEYS[6], KEYS[7]
local ref, new_ref, grace, tombstone_ttl = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])

local text = read_header(session) or ''
if type(text) == 'table' then return text end
-- The new ref is random, so only this same call can have created a session under it.
if text == '>' .. new_ref or (text == '>' and redis.call('EXISTS', moved) == 1) then return 1 end
local _, _, _, id, la = parse(text)
if not id then return nil end

local wipe_at = redis.call('ZSCORE', expiry, id .. ref)
redis.call('RENAME', session, moved)
add_to_index(id, new_ref, la, type(wipe_at) == 'string' and wipe_at or '0')
remove_from_index(id, ref)
flush_owners()
if grace > 0 then
  redis.call('SET', session, '>' .. new_ref, 'PX', grace)
else
  leave_tombstone(session, tombstone_ttl)
end
return 1
