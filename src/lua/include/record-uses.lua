-- Records in the index that sessions were used. Each entry of `uses` is { id, ref, now, time of the last use before }.
-- A second use within the same second is not recorded, and neither is an activity of a user before the last one.
-- (ZADD GT would do the same, but not every mock of Redis supports it.)
--
-- Once a minute, or if an entry was missing, all entries of the session are written. This repairs an index that lost entries
-- to an eviction. `expiry` is written with NX because only the wiper may reorder it. A missing entry gets the score 0, so the
-- wiper checks it first.
local function record_uses(uses)
  -- Scores and members of the index entries. One ZADD with all of them costs half of several.
  local active_entries, user_entries, incomplete = {}, {}, {}
  for _, use in ipairs(uses) do
    local id, ref, now, la = unpack(use)
    if math.floor(la / 1000) ~= math.floor(now / 1000) then
      local n = #active_entries
      active_entries[n + 1], active_entries[n + 2] = now, ref
      if id ~= ANONYMOUS then
        local last = tonumber(redis.call('ZSCORE', users, id))
        if not last or last < tonumber(now) then
          n = #user_entries
          user_entries[n + 1], user_entries[n + 2] = now, id
        end
      end
      if math.floor(la / 60000) ~= math.floor(now / 60000) then incomplete[#incomplete + 1] = use end
    end
  end
  if #active_entries == 0 then return end
  local added = redis.call('ZADD', active, unpack(active_entries))
  if #user_entries > 0 then added = added + redis.call('ZADD', users, unpack(user_entries)) end
  if added > 0 then incomplete = uses end
  if #incomplete == 0 then return end

  --@include add-owner

  for _, use in ipairs(incomplete) do
    local id, ref = unpack(use)
    redis.call('ZADD', expiry, 'NX', '0', id .. ref)
    if id ~= ANONYMOUS then add_owner(id, ref) end
  end
  flush_owners()
end
