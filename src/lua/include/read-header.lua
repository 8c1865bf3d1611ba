-- The header lines of a session's text, if the session has data.
local HEADER = '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n'

-- Reads the beginning of a session's text, which contains its header lines. Returns false if the key does not exist, and the error if
-- it is not a string. Lua hashes each byte that it receives, so only a longer header is read with 4 KiB.
local function read_header(session)
  local text = redis.pcall('GETRANGE', session, '0', '511')
  if type(text) ~= 'string' or text == '' then
    -- In ioredis-mock, GETRANGE fails if the key does not exist.
    text = redis.pcall('GET', session)
  elseif #text == 512 and not string.find(text, HEADER) then
    text = redis.pcall('GETRANGE', session, '0', '4095')
  end
  return text
end
