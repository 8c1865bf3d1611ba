-- Reads the first entries of the wiper's queue, in which every session of the app stands.
--
-- KEYS   1    expiry
-- ARGV   1    limit
-- Reply  entries: id, as JSON, followed by the ref

return redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
