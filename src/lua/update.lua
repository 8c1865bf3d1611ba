-- Changes sessions that live: their data, whose they are, and how long they may rest.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1..  for each session:
--               its ref
--               id, as JSON; "" (two quotation marks) for nobody; empty to leave it as it is
--               now, ms of the caller's clock
--               ttl from now on, seconds (may have a fraction); 0 for a session without end; empty to leave its life
--               as it is, which goes with an empty id
--               fields and values to write, as lines
--               fields to remove, as lines
-- Reply  for each session 1, or 0 for one that is not there; nothing is written then
--        the error of one that somebody else has spoilt; nothing is written

--@include index
--@include replies
--@include fields
--@include owner
--@include forget
--@include remember
--@include clock

local function prolong(session, ref, before, id, now, ttl)
  local life = ttl * 1000
  redis.call('HSET', session, 'la', now, 'ttl', ttl)
  if life > 0 then
    redis.call('PEXPIRE', session, math.max(math.floor(life + 0.5), 1))
  else
    redis.call('PERSIST', session)
  end
  if id == '' then id = before end
  if id ~= before then
    forget(before, ref)
    if id == NOBODY then redis.call('HDEL', session, 'id') else redis.call('HSET', session, 'id', id) end
  end
  local due = clock() + life
  remember(id, ref, now, due)
  -- A session that ends earlier than it was to: what is left in the wiper's queue shall not have ended already.
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > due then redis.call('ZADD', expiry, due, id .. ref) end
end

for i = 1, #replies do
  local session, at = KEYS[4 + i], 6 * (i - 1)
  local ttl, written, removed = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local own = redis.pcall('HMGET', session, 'id', 'ttl')
  if own.err then
    replies[i] = own
  elseif type(own[2]) ~= 'string' then
    replies[i] = 0
  else
    local counted = (written ~= '' or removed ~= '') and redis.pcall('HINCRBY', session, 'w', 1) or 0
    if type(counted) ~= 'number' then
      replies[i] = counted
    else
      write_fields(session, written)
      remove_fields(session, removed)
      if ttl ~= '' then prolong(session, ARGV[at + 1], owner(own[1]), ARGV[at + 2], ARGV[at + 3], ttl) end
      replies[i] = 1
    end
  end
end
return replies
