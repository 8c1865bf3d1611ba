-- Reads a page of what stands under a user: their field of `user_sessions` and what follows in `user_sessions_overflow`, at one moment. Between
-- two looks a session could go from the one to the other and be met in neither.
--
-- KEYS   1    user_sessions
--        2    user_sessions_overflow
-- ARGV   1    the user's id, as JSON
--        2    the first member of user_sessions_overflow to return, as ZRANGEBYLEX takes it
--        3    the last
--        4    how many members at most
-- Reply  the field, "" when there is none, followed by the members

local user_sessions, user_sessions_overflow = KEYS[1], KEYS[2]

local field = redis.call('HGET', user_sessions, ARGV[1])
return { field or '', unpack(redis.call('ZRANGEBYLEX', user_sessions_overflow, ARGV[2], ARGV[3], 'LIMIT', '0', ARGV[4])) }
