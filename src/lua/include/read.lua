--@include session

-- The maximum number of bytes that a script reads of one session: 256 KiB of data and 4 KiB for the header. Lua copies a text
-- several times, so larger texts would block Redis too long. sessions/large-sessions.ts handles these.
local MAX_TEXT = 266240

-- Reads a session's text, at most one byte more than MAX_TEXT. Returns false if the key does not exist, and the error if it is
-- not a string. (MAX_TEXT is written as a string, because Lua would format a number again for each command.)
local function read(session)
  local text = redis.pcall('GETRANGE', session, '0', '266240')
  -- In ioredis-mock, GETRANGE fails if the key does not exist.
  if text == '' or type(text) ~= 'string' then text = redis.pcall('GET', session) end
  return text
end
