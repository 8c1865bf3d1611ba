-- Registers an app for the wipers. The first registration decides the app's number of shards.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1    app
--        2    now, ms
--        3    number of shards, as the caller has it
--        4    '1' if sessions may be in another shard than their user's; else ''
-- Reply  the app's number of shards. If it is not the caller's, nothing is written

--@include app-members

local apps = KEYS[1]
local app, now, shards, is_spread = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'

local known = shards_of(apps, app)
if known ~= 0 and known ~= shards then return known end
local listed, numbered, spread = members_of(app)
redis.call('ZADD', apps, now, listed)
if shards > 1 then redis.call('ZADD', apps, shards, numbered) end
if is_spread then redis.call('ZADD', apps, '1', spread) end
return shards
