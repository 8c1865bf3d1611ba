-- Reads a page of the wiper's queue, in which every session of the app stands, the earliest first.
--
-- KEYS   1    expiry
-- ARGV   1    the earliest score to return, ms, or '-inf'
--        2    limit
-- Reply  entries (id, as JSON, followed by the ref), each followed by its score, ms

return redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
