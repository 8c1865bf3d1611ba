-- Reads a page of the wiper's queue, in which every session of the app stands, the earliest first.
--
-- KEYS   1    expiry
-- ARGV   1    the earliest score to return, ms, or '-inf'
--        2    limit
-- Reply  entries (id, as JSON, followed by the ref) as lines; the score of the last one; how many have that score

local expiry = KEYS[1]

local entries = redis.call('ZRANGEBYSCORE', expiry, ARGV[1], '+inf', 'LIMIT', '0', ARGV[2])
if #entries == 0 then return { '', '', 0 } end
local score = redis.call('ZSCORE', expiry, entries[#entries])
return { table.concat(entries, '\n'), score, redis.call('ZCOUNT', expiry, score, score) }
