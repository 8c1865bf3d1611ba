-- Reads the headers of sessions, without their data.
--
-- KEYS   1..  the sessions
-- ARGV   1    number of the last byte to read of each session, counted from 0
-- Reply  for each session its header or its tombstone, see include/session.lua; "" if the key does not exist or is not a string

local last_byte = ARGV[1]

local headers = {}
-- From the last to the first, because ioredis-mock returns only a table that was filled in this order as a list.
for i = #KEYS, 1, -1 do
  local session = KEYS[i]
  local text = redis.pcall('GETRANGE', session, '0', last_byte)
  if type(text) ~= 'string' then text = '' end
  -- The line feed after the eighth line. Without data there is none.
  local stop = 0
  for _ = 1, 8 do
    stop = stop and string.find(text, '\n', stop + 1, true)
  end
  headers[i] = stop and string.sub(text, 1, stop - 1) or text
end
return headers
