-- Reads what is stored under refs, with its index entries, to move it to another shard.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    the number of bytes that is read at most, except for the first session
--        2..  the refs of the sessions
-- Reply  five values for each session, of the first ones that do not exceed the number of bytes:
--          its text or its tombstone, see include/session.lua; of a text that is larger than a script reads only the beginning, see
--          include/read.lua; "" if there is neither, or if the key is not a string
--          its PTTL
--          its score in `active`, in `expiry`, and its user's in `users`; "" if there is none

--@include index-keys
--@include parse
--@include read

local left = tonumber(ARGV[1])

local replies = {}
for i = 1, #KEYS - 5 do
  local session, ref = KEYS[5 + i], ARGV[1 + i]
  local text = read(session)
  if type(text) ~= 'string' then text = '' end
  left = left - #text
  if i > 1 and left < 0 then break end
  local _, _, _, id = parse(text)
  local n = #replies
  replies[n + 1] = text
  replies[n + 2] = redis.call('PTTL', session)
  replies[n + 3] = redis.call('ZSCORE', active, ref) or ''
  replies[n + 4] = id and redis.call('ZSCORE', expiry, id .. ref) or ''
  replies[n + 5] = id and redis.call('ZSCORE', users, id) or ''
end
return replies
