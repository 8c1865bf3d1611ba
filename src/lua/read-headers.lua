-- Reads the headers of sessions, without their data.
--
-- KEYS   1..  the sessions
-- ARGV   1    number of the last byte to read of each session, counted from 0
-- Reply  for each session its header or its tombstone, see include/session.lua; "" if the key does not exist or is not a string

local last_byte = ARGV[1]

-- Returns the first eight lines of a text. Returns nil if there is no line feed after them.
local function header_in(text)
  local stop = 0
  for _ = 1, 8 do
    stop = stop and string.find(text, '\n', stop + 1, true)
  end
  return stop and string.sub(text, 1, stop - 1)
end

local headers = {}
-- From the last to the first, because ioredis-mock returns only a table that was filled in this order as a list.
for i = #KEYS, 1, -1 do
  local session = KEYS[i]
  -- Lua hashes each byte that it receives, so more is read only for a longer header.
  local text = redis.pcall('GETRANGE', session, '0', '511')
  if type(text) ~= 'string' then text = '' end
  if #text == 512 and not header_in(text) then text = redis.call('GETRANGE', session, '0', last_byte) end
  -- Without data, no line feed follows the header.
  headers[i] = header_in(text) or text
end
return headers
