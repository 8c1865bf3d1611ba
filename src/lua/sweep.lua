-- Looks at a chunk of sessions that were met in the index: drops the entries of those that are gone,
-- writes those of the living anew, and tells the wiper's queue when to come again.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1..  for each session its id, as JSON (empty when only `active` was read, which does not tell),
--             and its ref
-- Reply  how many sessions were found gone

--@include index
--@include owner
--@include forget
--@include remember
--@include clock

local now = clock()
local gone = 0
for i = 1, #KEYS - 4 do
  local session, id, ref = KEYS[4 + i], ARGV[2 * i - 1], ARGV[2 * i]
  local left = redis.call('PTTL', session)
  if left == -2 and id == '' then
    redis.call('ZREM', active, ref)
  elseif left == -2 then
    -- Whoever removes the entry has found it: another wiper may have been faster.
    gone = gone + redis.call('ZREM', expiry, id .. ref)
    forget(id, ref)
  else
    local own = redis.call('HMGET', session, 'id', 'la', 'to')
    -- Otherwise it was rotated, or given to another user, since the index was read.
    if type(own[3]) ~= 'string' and owner(own[1]) == id then
      redis.call('ZREM', expiry, id .. ref)
      -- One without end (-1) is looked at again in a day.
      remember(id, ref, own[2], now + (left < 0 and 86400000 or math.max(left, 1000)))
    end
  end
end
return gone
