-- Registers an app for the wipers. The first registration decides the app's number of shards.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1    app
--        2    now, ms
--        3    number of shards, as the caller has it
--        4    '1' if sessions may be in another shard than their user's; else ''
--        5    the number of shards with which the caller would begin a new app, if Redis has lost an app that has moved to another one
-- Reply  the caller's number if it is the number of the app, or the next or the former one
--        else the number of the app; nothing is written

--@include app-members

local apps = KEYS[1]
local app, now, shards, is_spread, own = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1', ARGV[5]

local known = shards_of(apps, app)
local listed, numbered, spread, next, former = members_of(app)
-- The caller may have written its session just before the app has begun to move.
local is_known = known == shards or score_of(apps, next) == shards or score_of(apps, former) == shards
if known ~= 0 and not is_known then return known end
redis.call('ZADD', apps, now, listed)
if known == 0 and shards > 1 then redis.call('ZADD', apps, shards, numbered) end
-- Otherwise all processes that still have this number would be refused.
if known == 0 and own then redis.call('ZADD', apps, own, former) end
if is_spread then redis.call('ZADD', apps, '1', spread) end
return shards
