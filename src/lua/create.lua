-- Creates sessions of users, together with their index entries.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1..  for each session:
--               its ref
--               id, as JSON
--               now, ms of the caller's clock
--               ttl, seconds
--               how long it may live in all, seconds; 0 for as long as it is used
--               how many sessions the user may have, this one included; 0 for any number
--               its fields and values, as lines
-- Reply  for each session 1, or 0 when the user has as many sessions as they may have; nothing is written then

--@include index
--@include replies
--@include owned
--@include clock
--@include fields

-- Scores and members of the index. Entries that are written together cost half of what they cost one by one.
local actives, uses, ends, ownings = {}, {}, {}, {}

local function write_index()
  if #actives == 0 then return end
  redis.call('ZADD', active, unpack(actives))
  redis.call('ZADD', users, unpack(uses))
  redis.call('ZADD', expiry, 'NX', unpack(ends))
  redis.call('ZADD', owners, unpack(ownings))
  actives, uses, ends, ownings = {}, {}, {}, {}
end

local start = clock()

for i = 1, #replies do
  local session, at = KEYS[4 + i], 7 * (i - 1)
  local ref, id, now = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local life, absolute, limit = ARGV[at + 4] * 1000, ARGV[at + 5] * 1000, tonumber(ARGV[at + 6])
  -- Those of this very run count, too.
  if limit > 0 then write_index() end
  -- One that is there comes again: ioredis repeats a command whose answer was lost with the connection.
  if limit > 0 and redis.call('EXISTS', session) == 0 and #owned(id, limit) >= limit then
    replies[i] = 0
  else
    write_fields(session, ARGV[at + 7])
    if absolute > 0 then
      redis.call('HSET', session, 'end', start + absolute)
      life = math.min(life, absolute)
    end
    redis.call('PEXPIRE', session, life)
    local entry, n = id .. ref, #actives
    actives[n + 1], actives[n + 2] = now, ref
    uses[n + 1], uses[n + 2] = now, id
    ends[n + 1], ends[n + 2] = start + life, entry
    ownings[n + 1], ownings[n + 2] = 0, entry
    replies[i] = 1
  end
end
write_index()
return replies
