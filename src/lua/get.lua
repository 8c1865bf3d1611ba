-- Reads a session; counts the read and prolongs the session unless told not to.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    now, ms of the caller's clock
--        3    '1' to count and prolong, '0' to leave no trace
-- Reply  fields and values joined by line feeds, as they were before this read
--        "to\n<ref>" when the session was rotated to <ref>
--        nil when there is no session

--@include index
--@include meta
--@include prolong

local session = KEYS[5]
local ref, now, touch = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'

local fields = redis.call('HGETALL', session)
if #fields == 0 then return nil end
if touch and fields[1] ~= 'to' then
  -- A Redis that is out of memory refuses to count, unless the script has written before. Removing a field that no
  -- session has is such a write, and needs no memory: sessions can be read, and live on, when memory is short.
  redis.call('HDEL', session, '')
  redis.call('HINCRBY', session, 'r', 1)
  prolong(session, ref, meta_of(fields), now)
end
return table.concat(fields, '\n')
