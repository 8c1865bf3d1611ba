-- Changes existing sessions: data, user and ttl.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    maximum number of bytes of a session's data
--        2    maximum number of keys of a session's data
--        3..  for each session:
--               ref
--               id, as JSON; "" (two quotation marks) for an anonymous session; empty to keep the id. If the number of the
--               user's sessions is limited, the maximum number is in front, such as 5"alice"
--               now, ms of the caller's clock
--               new ttl, seconds (may have a fraction); 0 for a session that never expires; empty to keep ttl and expiry,
--               allowed only with an empty id
--               changes of the data, see include/search.lua
-- Reply  for each session 1 if it was changed
--        the tombstone, see include/session.lua, or 0 if there is neither; nothing is written
--        -1 if the data would have too many bytes, -4 if too many keys; nothing is written
--        -5 if the user already has the maximum number of sessions; nothing is written
--        -2 if the call was skipped, -3 if it is too much work, see include/work.lua; nothing is written
--        the error if the session is damaged; nothing is written

--@announce --@include announce
--@include index-keys
--@include replies
--@include read
--@include merge
--@include next-ttl
--@include skew

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])
local moves = {}

local function update(session, ref, text, id, now, ttl, changes)
  local la, r, w, ttl_line, created, present_id, rest, start =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)\n([^ \n][^\n]*)(\n%d+\n)([^\n]*)()\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  if changes ~= '' then w = string.format('%d', w + 1) end
  local written
  if ttl == '' then
    local head = la .. r .. w .. '\n' .. ttl_line .. created .. present_id
    local new = merge_within(head, text, rest, start, changes, max_bytes, max_keys)
    if type(new) ~= 'string' then return new end
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  else
    if present_id == '' then present_id = ANONYMOUS end
    local max_per_user = ''
    if id == '' then id = present_id else max_per_user, id = string.match(id, '^(%d*)(.*)') end
    if max_per_user ~= '' and id ~= present_id and id ~= ANONYMOUS then
      --@include count-refs
      local count = count_refs(id, redis.call('HGET', user_sessions, id) or '\n')
      -- The index does not contain yet what this run has assigned to the user.
      for _, move in ipairs(moves) do
        if move[3] == id and move[2] ~= id then count = count + 1 end
      end
      if count >= tonumber(max_per_user) then return FULL end
    end
    local flags = string.match(ttl_line, '^[^ ]+(.-) *$')
    local ttl_ms = ttl * 1000
    if flags ~= '' and (ttl_ms > 0 or string.find(flags, ' until ', 1, true)) then ttl_ms = next_ttl(ttl, flags) end
    if ttl_ms and ttl_ms > 0 then flags = with_skew(flags, now) end
    local line4 = ttl .. flags
    -- Spaces keep the room that a large session has for flags.
    if string.byte(ttl_line, -1) == 32 then line4 = line4 .. string.rep(' ', #ttl_line - #line4) end
    local head = now .. r .. w .. '\n' .. line4 .. created .. (id == ANONYMOUS and '' or id)
    local in_place, new = changes == '' and #head + 1 == rest, nil
    if #text > MAX_TEXT and not in_place then return TOO_MUCH end
    if not in_place then
      new = merge_within(head, text, rest, start, changes, max_bytes, max_keys)
      if type(new) ~= 'string' then return new end
    end
    -- When Redis is out of memory it refuses SET unless the script has written before. As in get.lua, a session that is only
    -- touched must not fail then.
    if changes == '' then redis.call('ZREM', active, '') end
    if in_place then
      -- Replicas and the append-only file must not receive the whole text. Nearly always only the first line has changed.
      local is_first_line = line4 == ttl_line and id == present_id
      written = redis.pcall('SETRANGE', session, '0', is_first_line and now or head)
      if type(written) ~= 'table' then
        written = {}
        if ttl_ms and ttl_ms > 0 then
          redis.call('PEXPIRE', session, whole_ms(ttl_ms))
        elseif ttl_ms then
          redis.call('PERSIST', session)
        end
      end
    elseif not ttl_ms then
      written = redis.pcall('SET', session, new, 'KEEPTTL')
    elseif ttl_ms > 0 then
      written = redis.pcall('SET', session, new, 'PX', whole_ms(ttl_ms))
    else
      written = redis.pcall('SET', session, new)
    end
    if not ttl_ms then ttl_ms = ttl * 1000 end
    if not written.err then moves[#moves + 1] = { ref, present_id, id, now, ttl_ms } end
  end
  --@announce local was = string.match(ttl_line, '^[^ ]+')
  --@announce local is_change = changes ~= '' or ttl ~= '' and ttl ~= was or id ~= '' and id ~= present_id
  --@announce if is_change and not written.err then announce('changed', ref, id ~= '' and id or present_id) end
  return written.err and written or 1
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 5 * i - 2
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'table' then
      replies[i] = text
    elseif type(text) ~= 'string' then
      replies[i] = 0
    elseif is_tombstone(text) then
      replies[i] = text
    elseif #text > MAX_TEXT and (ARGV[at + 4] ~= '' or ARGV[at + 3] == '') then
      replies[i] = TOO_MUCH
    else
      work = work + 2 * #text
      replies[i] = update(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    end
  end
end
--@announce publish()
if #moves == 0 then return replies[2] and replies or replies[1] end

--@include remove-from-index
--@include add-to-index

for _, move in ipairs(moves) do
  local ref, old_id, id, now, ttl_ms = unpack(move)
  if id ~= old_id then remove_from_index(old_id, ref) end
  local wipe_at = clock() + ttl_ms
  add_to_index(id, ref, now, wipe_at)
  -- If the session now ends earlier, the wiper must check it earlier.
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > wipe_at then redis.call('ZADD', expiry, wipe_at, id .. ref) end
end
flush_owners()
return replies[2] and replies or replies[1]
