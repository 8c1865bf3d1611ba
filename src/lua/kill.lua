-- Ends sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    TTL of the tombstones, ms; 0 for none
--        2..  the refs of the sessions
-- Reply  for each session 1 if it was ended, 0 if it did not exist; a tombstone is written in both cases
--        the tombstone that was found, see include/session.lua; nothing is written
--        the error if the key is not a string; nothing is written

--@announce --@include announce
--@include index-keys
--@include replies
--@include parse
--@include read-header
--@include remove-owner
--@include leave-tombstone

local tombstone_ttl = tonumber(ARGV[1])
-- The ended sessions: ids, refs and members of `expiry`. One ZREM with all members costs a fraction of several.
local ids, refs, expiry_entries = {}, {}, {}

for i = 1, #replies do
  local session = KEYS[5 + i]
  local text = read_header(session)
  if type(text) == 'table' or (text and is_tombstone(text)) then
    replies[i] = text
  else
    local killed = redis.call('DEL', session)
    leave_tombstone(session, tombstone_ttl)
    if killed == 1 then
      local _, _, _, id = parse(text)
      local n = #ids + 1
      ids[n], refs[n] = id or ANONYMOUS, ARGV[1 + i]
      expiry_entries[n] = ids[n] .. refs[n]
      --@announce announce('ended', refs[n], id, reason)
    end
    replies[i] = killed
  end
end
if #ids > 0 then
  redis.call('ZREM', active, unpack(refs))
  redis.call('ZREM', expiry, unpack(expiry_entries))
  load_user_sessions(ids)
  for i, id in ipairs(ids) do
    if id ~= ANONYMOUS then remove_owner(id, refs[i]) end
  end
  flush_owners()
end
--@announce publish()
return replies[2] and replies or replies[1]
