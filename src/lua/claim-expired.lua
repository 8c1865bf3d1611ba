-- Claims the next chunk of sessions that may have expired, and postpones their entries by the lease. Wipers on several
-- servers thereby share the work, and the entries of a wiper that crashed are claimed again.
--
-- KEYS   1    expiry
-- ARGV   1    lease, ms
--        2    maximum number of entries
-- Reply  the claimed entries (id as JSON, followed by the ref), earliest first

--@include clock

local expiry = KEYS[1]
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])

local now = clock()
local entries = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, limit)
if #entries == 0 then return entries end
-- As a text, because Lua would format the number again for each entry.
local lease_end, postponed = string.format('%.0f', now + lease), {}
for i, entry in ipairs(entries) do
  postponed[2 * i - 1], postponed[2 * i] = lease_end, entry
end
-- When Redis is out of memory it refuses ZADD unless the script has written before.
redis.call('ZREM', expiry, unpack(entries))
redis.call('ZADD', expiry, unpack(postponed))
return entries
