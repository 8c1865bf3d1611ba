-- Changes sessions that live: their data, whose they are, and how long they may rest.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    the most bytes that a session's data may have, lines as in include/session.lua
--        2    the most keys that it may have
--        3..  for each session:
--               its ref
--               id, as JSON; "" (two quotation marks) for nobody; empty to leave it as it is
--               now, ms of the caller's clock
--               ttl from now on, seconds (may have a fraction); 0 for a session without end; empty to leave its life
--               as it is, which goes with an empty id
--               changes of its data, see include/merge.lua
-- Reply  for each session 1, or 0 for one that is not there; nothing is written then
--        -1 for one whose data would have too many bytes, -4 for too many keys; nothing is written
--        -2 for one that is left undone, -3 where it is too much work; nothing is written; see include/work.lua
--        the error of one that somebody else has spoilt; nothing is written

--@include index-keys
--@include replies
--@include read
--@include merge
--@include next-ttl

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])
local moves = {}

local function update(session, ref, text, id, now, ttl, changes)
  local la, r, w, life, created, before, rest, start =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)\n([^ \n][^\n]*)(\n%d+\n)([^\n]*)()\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  if changes ~= '' then w = string.format('%d', w + 1) end
  local written
  if ttl == '' then
    local head = la .. r .. w .. '\n' .. life .. created .. before
    local new = merge_within(head, text, rest, start, changes, max_bytes, max_keys)
    if type(new) ~= 'string' then return new end
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  else
    if before == '' then before = ANONYMOUS end
    if id == '' then id = before end
    -- What was agreed on when it was created (no_resave, until) stays.
    local flags = string.match(life, ' .*') or ''
    local head = now .. r .. w .. '\n' .. ttl .. flags .. created .. (id == ANONYMOUS and '' or id)
    local new = merge_within(head, text, rest, start, changes, max_bytes, max_keys)
    if type(new) ~= 'string' then return new end
    local ms = ttl * 1000
    if flags ~= '' then ms = next_ttl(ttl, flags) end
    -- A Redis that is out of memory refuses, unless the script has written before: as in get.lua, a session that is
    -- only prolonged lives on.
    if changes == '' then redis.call('ZREM', active, '') end
    if not ms then
      written = redis.pcall('SET', session, new, 'KEEPTTL')
      ms = ttl * 1000
    elseif ms > 0 then
      written = redis.pcall('SET', session, new, 'PX', whole_ms(ms))
    else
      written = redis.pcall('SET', session, new)
    end
    if not written.err then moves[#moves + 1] = { ref, before, id, now, ms } end
  end
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
    elseif type(text) ~= 'string' or is_tombstone(text) then
      replies[i] = 0
    elseif #text > MAX_TEXT then
      replies[i] = TOO_MUCH
    else
      work = work + 2 * #text
      replies[i] = update(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    end
  end
end
if #moves == 0 then return replies[2] and replies or replies[1] end

--@include remove-from-index
--@include add-to-index

for _, move in ipairs(moves) do
  local ref, before, id, now, life = unpack(move)
  if id ~= before then remove_from_index(before, ref) end
  local due = clock() + life
  add_to_index(id, ref, now, due)
  -- A session that ends earlier than it was to: what is left in the wiper's queue shall not have ended already.
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > due then redis.call('ZADD', expiry, due, id .. ref) end
end
flush_owners()
return replies[2] and replies or replies[1]
