-- Bars the sessions that connect-redis left, of one user or of the whole app: RedisStore takes over none of them from now
-- on (see replace.lua). They are in no index, so nothing else can end those that nobody has met since the swap.
--
-- KEYS   1    legacy, see ARGV
--        2    the bar
-- ARGV   1    how long the bar lasts, ms; empty for as long as `legacy` says, and for none where that is missing: no store
--             of this app takes sessions over
-- Reply  1 when there is a bar, else 0

local legacy, bar, lasts = KEYS[1], KEYS[2], ARGV[1]

if lasts == '' then lasts = redis.call('GET', legacy) end
if not lasts then return 0 end
redis.call('SET', bar, '1', 'PX', lasts)
return 1
