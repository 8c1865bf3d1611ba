-- Bars the sessions that connect-redis left, of one user or of the whole app: from now on RedisStore refuses to take them over
-- (see replace.lua). No index lists these sessions, so a logout cannot find and delete them.
--
-- KEYS   1    legacy: string, the default duration of a bar in ms; set while a store of this app takes sessions over
--        2    the bar to set
--        3    `user_sessions`, see include/user-sessions.lua
-- ARGV   1    duration of the bar, ms; empty to use the default, or to set no bar if `legacy` does not exist
--        2    the user's id, as JSON
-- Reply  the user's field of `user_sessions`, with which a logout begins; "" if there is none

local legacy, bar, user_sessions = KEYS[1], KEYS[2], KEYS[3]
local duration, id = ARGV[1], ARGV[2]

if duration == '' then duration = redis.call('GET', legacy) end
if duration then redis.call('SET', bar, '1', 'PX', duration) end
-- ioredis-mock would not turn false into nil.
return redis.call('HGET', user_sessions, id) or ''
