-- Ends sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    how long a mark is left where a session was, ms; 0 for none
--        2..  the refs of the sessions
-- Reply  for each session 1 when it was ended, 0 when there was none
--        the mark of one that was rotated, see include/session.lua; nothing is written
--        the error of one that is no text

--@include index-keys
--@include replies
--@include parse
--@include read-header
--@include remove-from-index
--@include leave-tombstone

local tombstone_ttl = tonumber(ARGV[1])

for i = 1, #replies do
  local session = KEYS[5 + i]
  -- All that is asked for stands at the beginning, however much data follows.
  local text = read_header(session)
  if type(text) == 'table' or (text and is_tombstone(text)) then
    replies[i] = text
  else
    local killed = redis.call('DEL', session)
    leave_tombstone(session, tombstone_ttl)
    if killed == 1 then
      local _, _, _, id = parse(text)
      remove_from_index(id or ANONYMOUS, ARGV[1 + i])
    end
    replies[i] = killed
  end
end
flush_owners()
return replies[2] and replies or replies[1]
