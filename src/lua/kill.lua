-- Ends sessions.
--
-- KEYS   1-5  the index, see include/index.lua
--        6..  the sessions
-- ARGV   1    how long a mark is left where a session was, ms; 0 for none
--        2..  the refs of the sessions
-- Reply  for each session 1 when it was ended, 0 when there was none
--        the mark of one that was rotated, see include/session.lua; nothing is written
--        the error of one that is no text

--@include index
--@include replies
--@include parse
--@include beginning
--@include forget
--@include leave-mark

local mark_for = tonumber(ARGV[1])

for i = 1, #replies do
  local session = KEYS[5 + i]
  -- All that is asked for stands at the beginning, however much data follows.
  local text = beginning(session)
  if type(text) == 'table' or (text and is_mark(text)) then
    replies[i] = text
  else
    local killed = redis.call('DEL', session)
    leave_mark(session, mark_for)
    if killed == 1 then
      local _, _, _, id = parse(text)
      forget(id or NOBODY, ARGV[1 + i])
    end
    replies[i] = killed
  end
end
settle()
return replies[2] and replies or replies[1]
