-- Reads a session; counts the read and prolongs the session unless told not to.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session
-- ARGV   1    ref
--        2    now, ms of the caller's clock
--        3    '1' to count and prolong, '0' to leave no trace
--        4    how long after its last use the session is prolonged again, ms; 1000 when absent
-- Reply  fields and values joined by line feeds, as they were before this read
--        "to\n<ref>" when the session was rotated to <ref>
--        nil when there is no session

--@include index
--@include meta
--@include prolong

local session = KEYS[5]
local ref, now, touch, gap = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4] or 1000)

local fields = redis.call('HGETALL', session)
if #fields == 0 then return nil end
if touch and fields[1] ~= 'to' then
  if type(redis.pcall('HINCRBY', session, 'r', 1)) ~= 'number' then
    -- A Redis that is out of memory refuses to count, unless the script has written before. Removing a field that no
    -- session has is such a write, and needs no memory: sessions can be read, and live on, when memory is short.
    redis.call('HDEL', session, '')
    redis.call('HINCRBY', session, 'r', 1)
  end
  local la = tonumber(field(fields, 'la'))
  if is_due(la, now, gap) then prolong(session, ref, la, now) end
end
return table.concat(fields, '\n')
