-- Records that a rotated session's current token was used. The token before is now useless, after a grace if it was still valid.
--
-- KEYS   1    the session
--        2    the record of the token's family, see include/family.lua
--        3    the session's key under the ref of the token before; missing, as the next one, if the record is missing
--        4    the mark that the token before was rotated lately
-- ARGV   1    ref of the current token
--        2    TTL of the mark after the grace, ms
-- Reply  1 if it was recorded; 0 if it was recorded before, or if the session has changed

--@include parse
--@include read-header
--@include family

local session, family, before, mark = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local ref, mark_ttl = ARGV[1], tonumber(ARGV[2])

local text = read_header(session)
if type(text) ~= 'string' then return 0 end
local ttl, flags = parse(text)
local rotated, offset = rotated_flag(text)
if not ttl or rotated ~= '0' then return 0 end

local grace = string.match(redis.call('GET', family) or '', '^%S+ %S+ (%d+)')
-- When Redis is out of memory it refuses SETRANGE and SET unless the script has written before. DEL counts as such a write.
redis.call('DEL', family)
redis.call('SETRANGE', session, offset, '1')
redis.call('SET', family, ref, 'PX', family_ttl(redis.call('PTTL', session), ttl, flags))
if before then
  -- Requests that the browser sent before it had the new token may still be on their way.
  redis.call('SET', mark, '1', 'PX', math.max(redis.call('PTTL', mark), mark_ttl + (grace or 0)))
  if grace == '0' then
    redis.call('DEL', before)
  elseif grace then
    redis.call('SET', before, '>' .. ref, 'PX', grace)
  end
end
return 1
