--@include owner
--@include remember
--@include clock

-- When a session was last used, ms; out of its names and values. `la` comes first in nearly every one.
local function last_activity(fields)
  for i = 1, #fields, 2 do
    if fields[i] == 'la' then return tonumber(fields[i + 1]) end
  end
end

-- Notes that the session was used, unless it was last used (`la`) less than `gap` ms ago: busy sessions would pay for
-- it on each request. The index is written at most once a second. Writing all of its entries again repairs an index
-- that lost some (an eviction); the wiper's queue is written NX, so that its order is the wiper's alone.
local function prolong_if_due(session, ref, la, now, gap)
  if la and math.abs(now - la) < gap then return end
  local own = redis.call('HMGET', session, 'id', 'ttl', 'no_resave', 'end')
  local ttl, last = tonumber(own[2]), tonumber(own[4])
  -- Somebody else has spoilt it: it ends when it was to.
  if not ttl then return end
  redis.call('HSET', session, 'la', now)
  local life = ttl * 1000
  -- Where it has an end, that is a moment of Redis's clock.
  if last then life = math.min(life, last - clock()) end
  if own[3] ~= '1' and life > 0 then
    redis.call('PEXPIRE', session, math.max(math.floor(life + 0.5), 1))
  end
  if la and math.floor(la / 1000) == math.floor(now / 1000) then return end
  remember(owner(own[1]), ref, now, now)
end
