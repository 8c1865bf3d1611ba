-- Bars the sessions that connect-redis left, of one user or of the whole app: from now on RedisStore refuses to take them over
-- (see replace.lua). No index lists these sessions, so a logout cannot find and delete them.
--
-- KEYS   1    legacy: string, the default duration of a bar in ms; set while a store of this app takes sessions over
--        2    the bar to set
-- ARGV   1    duration of the bar, ms; empty to use the default, or to set no bar if `legacy` does not exist
-- Reply  1 if a bar was set, else 0

local legacy, bar, duration = KEYS[1], KEYS[2], ARGV[1]

if duration == '' then duration = redis.call('GET', legacy) end
if not duration then return 0 end
redis.call('SET', bar, '1', 'PX', duration)
return 1
