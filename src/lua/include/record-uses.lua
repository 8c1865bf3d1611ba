--@include touch-user

-- Records in the index that sessions were used. Each entry of `uses` is { id, ref, now, time of the last use before }.
-- A second use within the same second is not recorded.
--
-- Once a minute, or if an entry was missing, all entries of the session are written. This repairs an index that lost entries
-- to an eviction. `expiry` is written with NX because only the wiper may reorder it. A missing entry gets the score 0, so the
-- wiper checks it first.
local function record_uses(uses)
  local incomplete = {}
  for _, use in ipairs(uses) do
    local id, ref, now, la = unpack(use)
    if math.floor(la / 1000) ~= math.floor(now / 1000) then
      local added = redis.call('ZADD', active, now, ref)
      if id ~= ANONYMOUS then added = added + touch_user(id, now) end
      if added > 0 or math.floor(la / 60000) ~= math.floor(now / 60000) then incomplete[#incomplete + 1] = use end
    end
  end
  if #incomplete == 0 then return end

  --@include user-sessions

  for _, use in ipairs(incomplete) do
    local id, ref = unpack(use)
    redis.call('ZADD', expiry, 'NX', '0', id .. ref)
    if id ~= ANONYMOUS then add_owner(id, ref) end
  end
  flush_owners()
end
