-- Records when a user was last active, unless a later time is recorded. Returns 1 if the user had no entry, else 0.
-- (ZADD GT would do the same, but not every mock of Redis supports it.)
local function touch_user(id, la)
  local last = tonumber(redis.call('ZSCORE', users, id))
  if last and last >= tonumber(la) then return 0 end
  return redis.call('ZADD', users, la, id)
end
