-- Merges data into sessions key by key, counts the writes and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    maximum number of bytes of a session's data
--        2    maximum number of keys of a session's data
--        3..  for each session:
--               ref
--               now, ms of the caller's clock; empty if the write is no use of the session
--               changes of the data, see include/search.lua
-- Reply  for each session its new text, but with the time of the last use before this write
--        the tombstone, see include/session.lua; nothing is written
--        "" if there is neither; nothing is written
--        -1 if the data would have too many bytes, -4 if too many keys; nothing is written
--        -2 if the call was skipped, -3 if it is too much work, see include/work.lua; nothing is written
--        the error if the session is damaged; nothing is written

--@announce --@include announce
--@include index-keys
--@include replies
--@include read
--@include write

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])

for i = 1, #replies do
  local session, at = KEYS[5 + i], 3 * i
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'string' then
      -- A write copies the text several times.
      work = work + 2 * #text
      if #text > MAX_TEXT then
        text = TOO_MUCH
      elseif not is_tombstone(text) then
        text = write(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2], max_bytes, max_keys)
      end
    end
    replies[i] = text or ''
  end
end
if #uses > 0 then
  --@include record-uses
  record_uses(uses)
end
--@announce publish()
return replies[2] and replies or replies[1]
