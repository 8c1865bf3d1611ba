-- Reads when the sessions of a user were created and last used, without their data.
--
-- KEYS   1..  the sessions
-- ARGV   1    the user's id, as JSON
-- Reply  one text with a line for each session: its times of creation and of the last use, ms; or an empty line if the
--        session does not exist or is not the user's

--@include parse
--@include read-header

local user = ARGV[1]

local lines = {}
for i = 1, #KEYS do
  local session = KEYS[i]
  local text = read_header(session)
  local _, _, created, id, la = parse(type(text) == 'string' and text or '')
  lines[i] = id == user and created .. ' ' .. la or ''
end
return table.concat(lines, '\n')
