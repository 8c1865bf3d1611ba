-- Reads when sessions that were met in a user's index were created, without their data.
--
-- KEYS   1..  the sessions
-- ARGV   1    the user's id, as JSON
-- Reply  for each session when it was created, ms, or an empty line where there is no session of this user; as lines

--@include parse

local user = ARGV[1]

local lines = {}
for i = 1, #KEYS do
  local session = KEYS[i]
  local text = redis.pcall('GETRANGE', session, '0', '2047')
  local _, _, created, id = parse(type(text) == 'string' and text or '')
  lines[i] = id == user and created or ''
end
return table.concat(lines, '\n')
