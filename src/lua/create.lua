-- Creates sessions of users, together with their index entries.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    absolute lifetime, ms (at least the idle timeout); 0 for none
--        2    maximum number of sessions a user, including the new ones; 0 for no limit
--        3..  for each session:
--               ref
--               id, as JSON
--               now, ms of the caller's clock
--               idle timeout, ms
--               text, see include/session.lua
-- Reply  for each session 1 if it was created
--        0 if the user already has the maximum number of sessions; nothing is written for this session

--@announce --@include announce
--@include index-keys
--@include replies
--@include add-owner
--@include skew
--@include replace-flags

local absolute, max_per_user = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = clock()

-- Scores and members of the index entries. One ZADD with all of them costs half of several.
local active_entries, user_entries, expiry_entries = {}, {}, {}
if replies[2] then
  local ids = {}
  for i = 1, #replies do ids[i] = ARGV[5 * i - 1] end
  load_user_sessions(ids)
end

local count
if max_per_user > 0 then
  --@include count-refs
  count = function(id)
    return count_refs(id, field_of(id))
  end
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 5 * i - 2
  local ref, id, now, ttl_ms, text = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  -- A session that exists already does not count as another one: ioredis repeats a command whose reply was lost.
  if max_per_user > 0 and redis.call('EXISTS', session) == 0 and count(id) >= max_per_user then
    replies[i] = 0
  else
    if absolute > 0 or math.abs(now - start) >= MIN_SKEW then
      local flags = string.match(text, '^%d+\n%d+\n%d+\n[^ \n]+([^\n]-) *\n')
      if absolute > 0 then flags = flags .. string.format(' until %.0f', start + absolute) end
      text = replace_flags(text, with_skew(flags, now))
    end
    --@announce if redis.call('EXISTS', session) == 0 then announce('created', ref, id) end
    redis.call('SET', session, text, 'PX', ttl_ms)
    add_owner(id, ref, not has_overflow(field_of(id)))
    local n = #active_entries
    active_entries[n + 1], active_entries[n + 2] = now, ref
    user_entries[n + 1], user_entries[n + 2] = now, id
    expiry_entries[n + 1], expiry_entries[n + 2] = start + ttl_ms, id .. ref
    replies[i] = 1
  end
end
if #active_entries > 0 then
  redis.call('ZADD', active, unpack(active_entries))
  -- A server whose clock is behind sets the user's last activity back until the next use. A comparison would make each
  -- login slower.
  redis.call('ZADD', users, unpack(user_entries))
  redis.call('ZADD', expiry, 'NX', unpack(expiry_entries))
  flush_owners()
end
--@announce publish()
return replies[2] and replies or replies[1]
