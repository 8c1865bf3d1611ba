-- Writes a text of another shard, unless the key exists.
--
-- KEYS   1    the key
-- ARGV   1    the text
--        2    TTL, ms; -1 for none
-- Reply  1 if it was written, else 0

local key = KEYS[1]
local ttl_ms = tonumber(ARGV[2])

if redis.call('EXISTS', key) == 1 then return 0 end
-- When Redis is out of memory it refuses SET unless the script has written before. DEL counts as such a write.
redis.call('DEL', key)
if ttl_ms > 0 then
  redis.call('SET', key, ARGV[1], 'PX', ttl_ms)
else
  redis.call('SET', key, ARGV[1])
end
return 1
