--@include owner
--@include remember
--@include clock

-- Whether a session that was last used at `la` is to be prolonged: busy sessions would pay for it on each request.
local function is_due(la, now, gap)
  return not la or math.abs(now - la) >= gap
end

-- Notes that the session was used. The index is written at most once a second. Writing all of its entries again repairs
-- an index that lost some (an eviction); the wiper's queue is written NX, so that its order is the wiper's alone.
local function prolong(session, ref, la, now)
  local own = redis.call('HMGET', session, 'id', 'ttl', 'no_resave', 'end')
  redis.call('HSET', session, 'la', now)
  local life, last = own[2] * 1000, tonumber(own[4])
  -- Where it has an end, that is a moment of Redis's clock.
  if last then life = math.min(life, last - clock()) end
  if own[3] ~= '1' and life > 0 then
    redis.call('PEXPIRE', session, string.format('%.0f', math.max(life, 1)))
  end
  if la and math.floor(la / 1000) == math.floor(now / 1000) then return end
  remember(owner(own[1]), ref, now, now)
end
