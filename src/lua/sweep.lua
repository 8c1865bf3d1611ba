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
--@include remove-from-index
--@include add-to-index
--@include clock

local now = clock()
local gone = 0
for i = 1, #KEYS - 5 do
  local session, id, ref = KEYS[5 + i], ARGV[2 * i - 1], ARGV[2 * i]
  local left = redis.call('PTTL', session)
  local _, present_id, la
  if left ~= -2 then
    -- The first 4 KiB contain the header, however much data follows.
    local text = redis.pcall('GETRANGE', session, '0', '4095')
    _, _, _, present_id, la = parse(type(text) == 'string' and text or '')
  end
  if not present_id and id == '' then
    redis.call('ZREM', active, ref)
  elseif not present_id then
    -- The session has ended, was rotated after the index was read, or is damaged. It counts only if this script removes the
    -- entry, because another wiper may have counted it before.
    --@announce if redis.call('ZSCORE', expiry, id .. ref) then announce('ended', ref, id, 'expired') end
    gone = gone + redis.call('ZREM', expiry, id .. ref)
    remove_from_index(id, ref)
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
flush_owners()
--@announce publish()
return gone
