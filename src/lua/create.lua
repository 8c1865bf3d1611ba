-- Creates sessions of users, together with their index entries.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    how long each may live in all, ms (not less than it may rest); 0 for as long as it is used
--        2    how many sessions a user may have, these included; 0 for any number
--        3..  for each session:
--               its ref
--               id, as JSON
--               now, ms of the caller's clock
--               how long it may rest, ms
--               its text, see include/session.lua
-- Reply  for each session 1, or 0 when the user has as many sessions as they may have; nothing is written then

--@include index-keys
--@include replies
--@include user-sessions
--@include clock

local absolute, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = clock()

-- Entries that are written together cost half of what they cost one by one: scores and members of the index.
local actives, uses, ends, ids = {}, {}, {}, {}
for i = 1, #replies do ids[i] = ARGV[5 * i - 1] end
load_user_sessions(ids)

-- How many entries a user has in the user_sessions_overflow.
local function count_crowd(id)
  return redis.call('ZLEXCOUNT', user_sessions_overflow, '[' .. id, '[' .. id .. '\244\143\191\191')
end

-- How many sessions a user has.
local function count_owned(id)
  local list = list_of(id)
  local _, breaks = string.gsub(list, '\n', '')
  return breaks - 1 + (has_overflow(list) and count_crowd(id) or 0)
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 5 * i - 2
  local ref, id, now, life, text = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
  -- A session that is there is a repeat: ioredis sends a command again whose answer was lost with the connection.
  if limit > 0 and redis.call('EXISTS', session) == 0 and count_owned(id) >= limit then
    replies[i] = 0
  else
    if absolute > 0 then
      text = string.gsub(text, '^(%d+\n%d+\n%d+\n[^\n]*)', '%1 until ' .. string.format('%.0f', start + absolute))
    end
    redis.call('SET', session, text, 'PX', life)
    add_owner(id, ref, not has_overflow(list_of(id)))
    local n = #actives
    actives[n + 1], actives[n + 2] = now, ref
    uses[n + 1], uses[n + 2] = now, id
    ends[n + 1], ends[n + 2] = start + life, id .. ref
    replies[i] = 1
  end
end
if #actives > 0 then
  redis.call('ZADD', active, unpack(actives))
  -- A server whose clock is behind sets this back until the user's next use: to look first would cost each login more.
  redis.call('ZADD', users, unpack(uses))
  redis.call('ZADD', expiry, 'NX', unpack(ends))
  flush_owners()
end
return replies[2] and replies or replies[1]
