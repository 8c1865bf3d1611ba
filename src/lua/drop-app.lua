-- Takes an app from those that the wipers visit, unless it was registered lately: a session of it may be on its way.
--
-- KEYS   1    apps
-- ARGV   1    the app
--        2    a moment, ms: what was registered since then stays
-- Reply  1 when it was taken, else 0

local apps = KEYS[1]
local app, before = ARGV[1], tonumber(ARGV[2])

local registered = tonumber(redis.call('ZSCORE', apps, app))
if not registered or registered >= before then return 0 end
return redis.call('ZREM', apps, app)
