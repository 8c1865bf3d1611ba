-- Reads the texts of sessions, as many of the first ones as fit into a number of bytes.
--
-- KEYS   1..  the sessions
-- ARGV   1    bytes
-- Reply  for each session that was read its text, or what else is there, see include/session.lua; "" for nothing, and for
--        what is no text
--        nothing when the first one alone is longer

local most, left = ARGV[1], tonumber(ARGV[1])

local texts = {}
for i = 1, #KEYS do
  local session = KEYS[i]
  local text = redis.pcall('GETRANGE', session, '0', most)
  if type(text) ~= 'string' then text = '' end
  if #text > left then break end
  left = left - #text
  texts[i] = text
end
return texts
