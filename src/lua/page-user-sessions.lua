-- Reads a user's field of `user_sessions` and a page of `user_sessions_overflow` at the same moment. With two commands a session
-- that moves from one to the other in between would be missed.
--
-- KEYS   1    user_sessions
--        2    user_sessions_overflow
-- ARGV   1    the user's id, as JSON
--        2    first overflow member to return, as ZRANGEBYLEX takes it
--        3    last overflow member to return, as ZRANGEBYLEX takes it
--        4    maximum number of overflow members
-- Reply  the field, "" if it does not exist, followed by the overflow members

local user_sessions, user_sessions_overflow = KEYS[1], KEYS[2]

local field = redis.call('HGET', user_sessions, ARGV[1])
return { field or '', unpack(redis.call('ZRANGEBYLEX', user_sessions_overflow, ARGV[2], ARGV[3], 'LIMIT', '0', ARGV[4])) }
