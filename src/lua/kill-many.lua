-- Ends a chunk of sessions that were met in the index.
--
-- KEYS   1-4  the index, see include/index.lua
--        5    the session to spare; the first index key again when there is none
--        6..  the sessions
-- ARGV   1..  for each session its id, as JSON, and its ref
--        last how long a mark is left where each session was, ms; absent or 0 for none
-- Reply  how many sessions were ended
--        -1 when the session to spare was rotated meanwhile; nothing is written

--@include index
--@include owner
--@include owned
--@include bury

local spared, count = KEYS[5], #KEYS - 5
local grave = tonumber(ARGV[2 * count + 1] or 0)

if spared ~= active and redis.call('HEXISTS', spared, 'to') == 1 then return -1 end

local ended = 0
local refs, entries, ids = {}, {}, {}
for i = 1, count do
  local session, id, ref = KEYS[5 + i], ARGV[2 * i - 1], ARGV[2 * i]
  local own = redis.call('HMGET', session, 'id', 'ttl', 'to')
  entries[i] = id .. ref
  ids[id] = true
  if type(own[2]) ~= 'string' or type(own[3]) == 'string' then
    -- Gone, or rotated and in the index anew under its new ref.
    refs[#refs + 1] = ref
  elseif owner(own[1]) == id then
    ended = ended + redis.call('DEL', session)
    bury(session, grave)
    refs[#refs + 1] = ref
  end
  -- Otherwise it belongs to another user by now and stands in the index anew: only the old entry is stale.
end
if #refs > 0 then redis.call('ZREM', active, unpack(refs)) end
if count > 0 then
  redis.call('ZREM', expiry, unpack(entries))
  redis.call('ZREM', owners, unpack(entries))
end
for id in pairs(ids) do
  if id ~= NOBODY and #owned(id, 1) == 0 then redis.call('ZREM', users, id) end
end
return ended
