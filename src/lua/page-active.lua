-- Reads a page of the sessions by their last activity, latest first.
--
-- KEYS   1    active
-- ARGV   1    the place where the page before ended, see include/place.lua; '' for the first page
--        2    the earliest activity to return, ms
--        3    limit
-- Reply  the place where this page ends; its refs, in reverse order
--        nothing when there are none

--@include cursor

local active = KEYS[1]
local place, since, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])

local stop = place == '' and redis.call('ZCARD', active) or rank_of(place)
local start = math.max(stop - limit, redis.call('ZCOUNT', active, '-inf', '(' .. since))
if start >= stop then return {} end
local refs = redis.call('ZRANGE', active, start, stop - 1)
return { cursor_of(refs[1]), unpack(refs) }
