-- Writes sessions, or tombstones, that were read in another shard. Keeps everything of them. No change is announced.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  for each session: the session; the mark that it was moved here; the staged text if that is large, see
--             sessions/large-sessions.ts, else the session again
-- ARGV   1    TTL of the marks, ms
--        2..  for each session:
--               ref
--               text or tombstone; unused if it is staged
--               TTL, ms; -1 for none
--               its score in `active`, in `expiry`, and its user's in `users`; empty if there is none
-- Reply  the number of those that were written. The others were not: something is stored under the ref, or was moved here a
--        short time ago

--@include index-keys
--@include parse
--@include read-header
--@include add-to-index

local mark_ttl = ARGV[1]

local written = 0
for from = 6, #KEYS, 3 do
  local session, mark, staged = KEYS[from], KEYS[1 + from], KEYS[2 + from]
  local at = 2 * from - 10
  local ref, text, ttl_ms = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local is_staged = staged ~= session
  if redis.call('EXISTS', session, mark) > 0 then
    if is_staged then redis.call('DEL', staged) end
  else
    -- When Redis is out of memory it refuses SET unless the script has written before, see get.lua.
    redis.call('ZREM', active, '')
    if is_staged then
      text = read_header(staged) or ''
      redis.call('RENAME', staged, session)
      if ttl_ms > 0 then redis.call('PEXPIRE', session, ttl_ms) else redis.call('PERSIST', session) end
    elseif ttl_ms > 0 then
      redis.call('SET', session, text, 'PX', ttl_ms)
    else
      redis.call('SET', session, text)
    end
    redis.call('SET', mark, '1', 'PX', mark_ttl)
    local _, _, _, id, la = parse(text)
    if id then
      local last_active, wipe_at, user_active = ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
      add_to_index(id, ref, last_active ~= '' and last_active or la, wipe_at ~= '' and wipe_at or '0')
      if id ~= ANONYMOUS and user_active ~= '' then touch_user(id, user_active) end
    end
    written = written + 1
  end
end
flush_owners()
return written
