-- Reads some entries of the wiper's queue, due or not.
--
-- KEYS   1    expiry
-- ARGV   1..  where in the queue, from 0 (its beginning) to 1 (its end, not included)
-- Reply  the entries: id, as JSON, followed by the ref; those of a short queue may come several times

local expiry = KEYS[1]

local size = redis.call('ZCARD', expiry)
if size == 0 then return {} end
local entries = {}
for i, share in ipairs(ARGV) do
  local rank = math.floor(share * size)
  entries[i] = redis.call('ZRANGE', expiry, rank, rank)[1]
end
return entries
