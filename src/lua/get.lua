-- Reads sessions; counts the reads and prolongs the sessions unless told not to.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1    '1' to count and prolong, '0' to leave no trace; that needs no other arguments
--        2    how long after its last use a session is prolonged again, ms
--        3..  for each session its ref, and now, ms of the caller's clock
-- Reply  for each session its fields and values joined by line feeds, as they were before this read
--        "to\n<ref>" for one that was rotated to <ref>
--        "" for one that is not there
--        the error of one that somebody else has spoilt

--@include index
--@include replies
--@include prolong

local touch, gap = ARGV[1] == '1', tonumber(ARGV[2])

for i = 1, #replies do
  local session = KEYS[4 + i]
  local fields = redis.pcall('HGETALL', session)
  if fields.err then
    replies[i] = fields
  elseif #fields == 0 then
    replies[i] = ''
  elseif fields[1] == 'to' or not touch then
    replies[i] = table.concat(fields, '\n')
  else
    local counted = redis.pcall('HINCRBY', session, 'r', 1)
    if type(counted) ~= 'number' then
      -- A Redis that is out of memory refuses to count, unless the script has written before. Removing a field that no
      -- session has is such a write, and needs no memory: sessions can be read, and live on, when memory is short.
      redis.call('HDEL', session, '')
      counted = redis.pcall('HINCRBY', session, 'r', 1)
    end
    if type(counted) ~= 'number' then
      replies[i] = counted
    else
      prolong_if_due(session, ARGV[2 * i + 1], last_activity(fields), tonumber(ARGV[2 * i + 2]), gap)
      replies[i] = table.concat(fields, '\n')
    end
  end
end
return replies
