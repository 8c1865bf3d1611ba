-- Looks at a chunk of sessions that were met in the index: drops the entries of those that are gone,
-- writes those of the living anew, and tells the wiper's queue when to come again.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1..  for each session its id, as JSON (empty when only `active` was read, which does not tell),
--             and its ref
-- Reply  how many sessions were found gone

--@include index-keys
--@include parse
--@include remove-from-index
--@include add-to-index
--@include clock

local now = clock()
local gone = 0
for i = 1, #KEYS - 5 do
  local session, id, ref = KEYS[5 + i], ARGV[2 * i - 1], ARGV[2 * i]
  local left = redis.call('PTTL', session)
  local _, present, la
  if left ~= -2 then
    -- All that is asked for stands at the beginning, however much data follows.
    local text = redis.pcall('GETRANGE', session, '0', '2047')
    _, _, _, present, la = parse(type(text) == 'string' and text or '')
  end
  if not present and id == '' then
    redis.call('ZREM', active, ref)
  elseif not present then
    -- Ended, rotated since the index was read, or spoilt by somebody else. Whoever removes the entry has found it:
    -- another wiper may have been faster.
    gone = gone + redis.call('ZREM', expiry, id .. ref)
    remove_from_index(id, ref)
  elseif present == id then
    redis.call('ZREM', expiry, id .. ref)
    -- One without end (-1) is looked at again in a day.
    add_to_index(id, ref, la, now + (left < 0 and 86400000 or math.max(left, 1000)))
  elseif id ~= '' then
    -- Given to another user, under whom it stands anew.
    redis.call('ZREM', expiry, id .. ref)
    if id ~= ANONYMOUS then remove_owner(id, ref) end
  end
end
flush_owners()
return gone
