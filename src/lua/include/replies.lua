-- A reply for each session, in a table that has its full size from the start. (ioredis-mock takes no other for an array.)
-- That of a session which is alone is replied by itself: an array takes a fifteenth of the time of such a call.
local replies = { unpack(KEYS, 6) }
