-- Claims the next chunk of sessions whose end may have come. What is claimed is put off by the lease,
-- so that wipers on several servers share the work, and what a wiper that dies has claimed comes again.
--
-- KEYS   1    expiry
-- ARGV   1    lease, ms
--        2    limit
-- Reply  entries: id, as JSON, followed by the ref

--@include clock

local expiry = KEYS[1]
local lease, limit = tonumber(ARGV[1]), tonumber(ARGV[2])

local now = clock()
local entries = redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, limit)
for i = 1, #entries do
  -- A Redis that is out of memory refuses ZADD, unless the script has written before.
  redis.call('ZREM', expiry, entries[i])
  redis.call('ZADD', expiry, now + lease, entries[i])
end
return entries
