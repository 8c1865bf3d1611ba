-- Reads a page of the sessions by their last activity, latest first.
--
-- KEYS   1    active
-- ARGV   1    the latest activity to return, ms, or '+inf'
--        2    the earliest activity to return, ms
--        3    limit
-- Reply  refs, each followed by its last activity, ms

return redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
