-- Merges data into sessions, key by key, counts the writes and prolongs the sessions.
--
-- KEYS   1-4  the index, see include/index.lua
--        5..  the sessions
-- ARGV   1..  for each session:
--               its ref
--               now, ms of the caller's clock
--               fields and values to write, as lines
--               fields to remove, as lines
-- Reply  for each session its fields and values joined by line feeds, as they are now
--        "to\n<ref>" for one that was rotated to <ref>; nothing is written
--        "" for one that is not there; nothing is written
--        the error of one that somebody else has spoilt; nothing is written

--@include index
--@include replies
--@include fields
--@include prolong

for i = 1, #replies do
  local session, at = KEYS[4 + i], 4 * (i - 1)
  local own = redis.pcall('HMGET', session, 'la', 'ttl', 'to')
  if own.err then
    replies[i] = own
  elseif type(own[3]) == 'string' then
    replies[i] = 'to\n' .. own[3]
  elseif type(own[2]) ~= 'string' then
    replies[i] = ''
  else
    local counted = redis.pcall('HINCRBY', session, 'w', 1)
    if type(counted) ~= 'number' then
      replies[i] = counted
    else
      write_fields(session, ARGV[at + 3])
      remove_fields(session, ARGV[at + 4])
      prolong_if_due(session, ARGV[at + 1], tonumber(own[1]), tonumber(ARGV[at + 2]), 1000)
      replies[i] = table.concat(redis.call('HGETALL', session), '\n')
    end
  end
end
return replies
