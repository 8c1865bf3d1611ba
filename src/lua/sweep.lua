-- Checks a chunk of sessions that were found in the index. Removes the entries of sessions that no longer exist, and writes all
-- entries of the others again, with the time at which the wiper checks them next.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1..  for each session its id, as JSON (empty if it was found in `active`, which does not store the id),
--             and its ref
-- Reply  the number of sessions that no longer exist

--@announce --@include announce
--@include index-keys
--@include parse
--@include read-header
--@include remove-owner
--@include add-to-index
--@include clock

local now = clock()
local gone, gone_refs, ids = 0, {}, {}
for i = 1, #KEYS - 5 do ids[i] = ARGV[2 * i - 1] end
load_user_sessions(ids)
-- Of entries that a wiper has claimed, nearly always all sessions have expired.
local is_any_left = redis.call('EXISTS', unpack(KEYS, 6)) > 0
for i = 1, #KEYS - 5 do
  local session, id, ref = KEYS[5 + i], ARGV[2 * i - 1], ARGV[2 * i]
  local left = is_any_left and redis.call('PTTL', session) or -2
  local _, present_id, la
  if left ~= -2 then
    local text = read_header(session)
    _, _, _, present_id, la = parse(type(text) == 'string' and text or '')
  end
  if not present_id then
    gone_refs[#gone_refs + 1] = ref
    -- The session has ended, was rotated after the index was read, or is damaged. It counts only if this script removes the
    -- entry, because another wiper may have counted it before.
    if id ~= '' and redis.call('ZREM', expiry, id .. ref) == 1 then
      gone = gone + 1
      --@announce announce('ended', ref, id, 'expired')
    end
    if id ~= '' and id ~= ANONYMOUS then remove_owner(id, ref) end
  elseif present_id == id then
    redis.call('ZREM', expiry, id .. ref)
    -- A session that never expires (-1) is checked again in a day.
    add_to_index(id, ref, la, now + (left < 0 and 86400000 or math.max(left, 1000)))
  elseif id ~= '' then
    -- The session now belongs to another user, who has entries for it.
    redis.call('ZREM', expiry, id .. ref)
    if id ~= ANONYMOUS then remove_owner(id, ref) end
  end
end
if #gone_refs > 0 then redis.call('ZREM', active, unpack(gone_refs)) end
flush_owners()
--@announce publish()
return gone
