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
for i = 1, #entries do
  -- When Redis is out of memory it refuses ZADD unless the script has written before.
  redis.call('ZREM', expiry, entries[i])
  redis.call('ZADD', expiry, now + lease, entries[i])
end
return entries
