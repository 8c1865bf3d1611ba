-- A reply for each session, in a table that has its full size from the start. (ioredis-mock takes no other for an array.)
local replies = { unpack(KEYS, 6) }
