--@include owner
--@include remember
--@include clock

-- Notes that the session was used, at most once a second: busy sessions would pay for it on each request.
-- Writing all index entries again repairs an index that lost some (an eviction); the wiper's queue is
-- written NX, so that its order is the wiper's alone.
local function prolong(session, ref, meta, now)
  local la = tonumber(meta.la)
  if la and math.abs(now - la) < 1000 then return end
  redis.call('HSET', session, 'la', now)
  local life = meta.ttl * 1000
  -- Where it has an end, that is a moment of Redis's clock.
  local last = tonumber(meta['end'])
  if last then life = math.min(life, last - clock()) end
  if meta.no_resave ~= '1' and life > 0 then
    redis.call('PEXPIRE', session, string.format('%.0f', math.max(life, 1)))
  end
  remember(owner(meta.id), ref, now, now)
end
