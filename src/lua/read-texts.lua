-- Reads the texts of sessions until a number of bytes is reached.
--
-- KEYS   1..  the sessions
-- ARGV   1    maximum number of bytes
-- Reply  for each session that was read its text or tombstone, see include/session.lua; "" if the key does not exist or is not
--        a string
--        an empty array if the first session alone is larger

local max_bytes, left = ARGV[1], tonumber(ARGV[1])
local texts = {}

-- One MGET would take two thirds of the time, but it reads its texts whole, however large they are.
for i = 1, #KEYS do
  local session = KEYS[i]
  local text = redis.pcall('GETRANGE', session, '0', max_bytes)
  if type(text) ~= 'string' then text = '' end
  left = left - #text
  if left < 0 then break end
  texts[i] = text
end
return texts
