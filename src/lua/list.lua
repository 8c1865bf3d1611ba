-- Reads a chunk of sessions and leaves no trace.
--
-- KEYS   1..  the sessions
-- ARGV   none
-- Reply  for each session its fields and values joined by line feeds
--        "to\n<ref>" for one that was rotated to <ref>
--        "" for one that is gone

local sessions = { unpack(KEYS) }
for i = 1, #sessions do
  sessions[i] = table.concat(redis.call('HGETALL', sessions[i]), '\n')
end
return sessions
