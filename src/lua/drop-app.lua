-- Removes an app from the wipers' list, unless it was registered recently: a session of it may be about to be written. The app's next
-- registration may decide on another number of shards.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1    app
--        2    an app that was registered at this time or later is kept, ms
-- Reply  1 if the app was removed, else 0

--@include app-members

local apps = KEYS[1]
local app, before = ARGV[1], tonumber(ARGV[2])

local registered = tonumber(redis.call('ZSCORE', apps, app))
if not registered or registered >= before then return 0 end
local listed, numbered, spread, next, former, moving, plan = members_of(app)
-- While it moves to another number of shards, the command is about to change the record.
if score_of(apps, next) > 0 or score_of(apps, moving) > 0 then return 0 end
redis.call('ZREM', apps, numbered, spread, former, plan)
return redis.call('ZREM', apps, listed)
