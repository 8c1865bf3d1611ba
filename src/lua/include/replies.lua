-- One reply for each session. The table has its full size from the start, because ioredis-mock takes no other for an array.
-- A single reply is returned without the array, which would cost a fifteenth of the time of such a call.
local replies = { unpack(KEYS, 6) }
