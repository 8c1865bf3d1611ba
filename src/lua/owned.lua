-- Reads a page of what stands under a user: their field of `owners` and what follows in `crowd`, at one moment. Between
-- two looks a session could go from the one to the other and be met in neither.
--
-- KEYS   1    owners
--        2    crowd
-- ARGV   1    the user's id, as JSON
--        2    the first member of crowd to return, as ZRANGEBYLEX takes it
--        3    the last
--        4    how many members at most
-- Reply  the field, "" when there is none, followed by the members

local owners, crowd = KEYS[1], KEYS[2]

local field = redis.call('HGET', owners, ARGV[1])
return { field or '', unpack(redis.call('ZRANGEBYLEX', crowd, ARGV[2], ARGV[3], 'LIMIT', '0', ARGV[4])) }
