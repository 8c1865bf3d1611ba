-- Reads entries at given positions of `expiry`, expired or not.
--
-- KEYS   1    expiry
-- ARGV   1..  positions, from 0 (the first entry) to 1 (excluded, the end)
-- Reply  the entries (id as JSON, followed by the ref); if there are few, some are repeated

local expiry = KEYS[1]

local size = redis.call('ZCARD', expiry)
if size == 0 then return {} end
local entries = {}
for i, position in ipairs(ARGV) do
  local rank = math.floor(position * size)
  entries[i] = redis.call('ZRANGE', expiry, rank, rank)[1]
end
return entries
