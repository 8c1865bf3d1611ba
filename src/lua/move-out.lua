-- Removes sessions, or tombstones, that were written in another shard. No change is announced.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  for each session: the session; the mark that it was moved here by an earlier move
-- ARGV   1..  for each session its id, as JSON (empty for a tombstone), and its ref
-- Reply  the number of sessions and tombstones that were removed

--@include index-keys
--@include remove-from-index

local removed = 0
for from = 6, #KEYS, 2 do
  local session, mark = KEYS[from], KEYS[1 + from]
  local id, ref = ARGV[from - 5], ARGV[from - 4]
  removed = removed + redis.call('DEL', session)
  -- The session may come back here with a later move.
  redis.call('DEL', mark)
  if id ~= '' then remove_from_index(id, ref) end
end
flush_owners()
return removed
