-- Reads a page of the sessions by their last activity, latest first.
--
-- KEYS   1    active
-- ARGV   1    the latest activity to return, ms, or '+inf'
--        2    the earliest activity to return, ms
--        3    limit
-- Reply  refs as lines; the last activity of the last one, ms; how many have just that

local active = KEYS[1]

local refs = redis.call('ZREVRANGEBYSCORE', active, ARGV[1], ARGV[2], 'LIMIT', '0', ARGV[3])
if #refs == 0 then return { '', '', 0 } end
local score = redis.call('ZSCORE', active, refs[#refs])
return { table.concat(refs, '\n'), score, redis.call('ZCOUNT', active, score, score) }
