-- Notes when a user was active last, which another of their sessions may have been later. Gives 1 when there was no entry,
-- else 0. (ZADD GT would do, but not every stand-in has it.)
local function touch_user(id, la)
  local last = tonumber(redis.call('ZSCORE', users, id))
  if last and last >= tonumber(la) then return 0 end
  return redis.call('ZADD', users, la, id)
end
