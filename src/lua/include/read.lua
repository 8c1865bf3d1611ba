--@include session

-- The most bytes of a session that a script takes in: 256 KiB of data and the lines before it. Lua copies a text several
-- times, so to take in more would hold Redis too long; see sessions/large-sessions.ts for what becomes of such a session.
local MAX_TEXT = 266240

-- Reads a session's text, of which one byte more than MAX_TEXT at most; false where nothing is, or the error. (A number
-- would be printed for each command.)
local function read(session)
  local text = redis.pcall('GETRANGE', session, '0', '266240')
  -- Where there is nothing, GETRANGE fails in ioredis-mock.
  if type(text) ~= 'string' or text == '' then text = redis.pcall('GET', session) end
  return text
end
