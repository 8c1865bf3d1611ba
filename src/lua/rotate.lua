-- Moves a session to a new ref; the old one forwards to it for a while, or is marked.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    the session's new place
-- ARGV   1    ref
--        2    new ref
--        3    grace, ms that the old ref goes on working
--        4    how long a mark is left there without grace, ms
-- Reply  1 when the session was moved (also when the very same call comes again: ioredis repeats
--          a command whose answer was lost with the connection)
--        nil when there is no session under this ref, or when it was rotated before

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
-- Nobody else makes a session of this new ref.
if text == '>' .. new_ref or (text == '>' and redis.call('EXISTS', moved) == 1) then return 1 end
local _, _, _, id, la = parse(text)
if not id then return nil end

local due = redis.call('ZSCORE', expiry, id .. ref)
redis.call('RENAME', session, moved)
add_to_index(id, new_ref, la, type(due) == 'string' and due or '0')
remove_from_index(id, ref)
flush_owners()
if grace > 0 then
  redis.call('SET', session, '>' .. new_ref, 'PX', grace)
else
  leave_tombstone(session, tombstone_ttl)
end
return 1
