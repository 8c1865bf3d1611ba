-- The beginning of a session's text, with all that tells of the session itself; false where nothing is, or the error.
local function read_header(session)
  local text = redis.pcall('GETRANGE', session, '0', '2047')
  -- Where there is nothing, GETRANGE fails in ioredis-mock.
  if type(text) ~= 'string' or text == '' then text = redis.pcall('GET', session) end
  return text
end
