-- Reads the first 4 KiB of a session's text, which contain its header lines. Returns false if the key does not exist, and the
-- error if it is not a string.
local function read_header(session)
  local text = redis.pcall('GETRANGE', session, '0', '4095')
  -- In ioredis-mock, GETRANGE fails if the key does not exist.
  if type(text) ~= 'string' or text == '' then text = redis.pcall('GET', session) end
  return text
end
