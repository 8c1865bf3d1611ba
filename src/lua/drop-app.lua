-- Removes an app from the wipers' list, unless it was registered recently: a session of it may be about to be written.
--
-- KEYS   1    apps
-- ARGV   1    app
--        2    an app that was registered at this time or later is kept, ms
-- Reply  1 if the app was removed, else 0

local apps = KEYS[1]
local app, before = ARGV[1], tonumber(ARGV[2])

local registered = tonumber(redis.call('ZSCORE', apps, app))
if not registered or registered >= before then return 0 end
return redis.call('ZREM', apps, app)
