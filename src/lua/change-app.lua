-- Changes the number of shards of an app, or a step of that, if nobody has changed it meanwhile.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1    app
--        2    the state that the caller has read, see include/app-members.lua
--        3    the new state
-- Reply  1 if the app has the new state
--        0 if it has neither; nothing is written

--@include app-members

local apps = KEYS[1]
local app, before, after = ARGV[1], ARGV[2], ARGV[3]

local present = state_of(apps, app)
if present == after then return 1 end
if present ~= before then return 0 end
local _, numbered, _, next, former, moving, plan = members_of(app)
local shards, next_shards, former_shards, is_moving, planned = string.match(after, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')

local function write(member, number, missing)
  if number == missing then
    redis.call('ZREM', apps, member)
  else
    redis.call('ZADD', apps, number, member)
  end
end

write(numbered, shards, '1')
write(next, next_shards, '0')
write(former, former_shards, '0')
write(moving, is_moving, '0')
write(plan, planned, '0')
return 1
