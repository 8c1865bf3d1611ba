--@include touch-user

-- Notes in the index that sessions are used. `uses` has for each its id, its ref, now, and when it was last used: within a
-- second there is nothing to note. Once a minute, and where an entry was missing, all of a session's entries are written,
-- which repairs an index that lost some (an eviction); the wiper's queue is written NX, so that its order is the wiper's,
-- who looks at what was missing there at once.
local function record_uses(uses)
  local missing = {}
  for _, use in ipairs(uses) do
    local id, ref, now, la = unpack(use)
    if math.floor(la / 1000) ~= math.floor(now / 1000) then
      local added = redis.call('ZADD', active, now, ref)
      if id ~= ANONYMOUS then added = added + touch_user(id, now) end
      if added > 0 or math.floor(la / 60000) ~= math.floor(now / 60000) then missing[#missing + 1] = use end
    end
  end
  if #missing == 0 then return end

  --@include user-sessions

  for _, use in ipairs(missing) do
    local id, ref = unpack(use)
    redis.call('ZADD', expiry, 'NX', '0', id .. ref)
    if id ~= ANONYMOUS then add_owner(id, ref) end
  end
  flush_owners()
end
