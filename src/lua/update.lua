-- Changes sessions that live: their data, whose they are, and how long they may rest.
--
-- KEYS   1-5  the index, see include/index.lua
--        6..  the sessions
-- ARGV   1..  for each session:
--               its ref
--               id, as JSON; "" (two quotation marks) for nobody; empty to leave it as it is
--               now, ms of the caller's clock
--               ttl from now on, seconds (may have a fraction); 0 for a session without end; empty to leave its life
--               as it is, which goes with an empty id
--               changes of its data, see include/merge.lua
-- Reply  for each session 1, or 0 for one that is not there; nothing is written then
--        the error of one that somebody else has spoilt; nothing is written

--@include index
--@include replies
--@include session
--@include merge
--@include life

local moves = {}

local function update(session, ref, text, id, now, ttl, changes)
  local la, r, w, life, created, before, rest =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)\n([^ \n][^\n]*)(\n%d+\n)([^\n]*)()\n[^\n]*\n')
  if not la then return DAMAGED end
  rest = string.sub(text, rest)
  if changes ~= '' then w = string.format('%d', w + 1) end
  local new, written
  if ttl == '' then
    new = merge(la .. r .. w .. '\n' .. life .. created .. before .. rest, changes)
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  else
    if before == '' then before = NOBODY end
    if id == '' then id = before end
    -- What was agreed on when it was created (no_resave, until) stays.
    local terms = string.match(life, ' .*') or ''
    new = now .. r .. w .. '\n' .. ttl .. terms .. created .. (id == NOBODY and '' or id) .. rest
    new = merge(new, changes)
    local ms = ttl * 1000
    if terms ~= '' then ms = life_of(ttl, terms) end
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
  local session, at = KEYS[5 + i], 5 * (i - 1)
  local text = redis.pcall('GET', session)
  if type(text) == 'table' then
    replies[i] = text
  elseif type(text) ~= 'string' or is_mark(text) then
    replies[i] = 0
  else
    replies[i] = update(session, ARGV[at + 1], text, ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5])
  end
end
if #moves == 0 then return replies[2] and replies or replies[1] end

--@include forget
--@include remember

for _, move in ipairs(moves) do
  local ref, before, id, now, life = unpack(move)
  if id ~= before then forget(before, ref) end
  local due = clock() + life
  remember(id, ref, now, due)
  -- A session that ends earlier than it was to: what is left in the wiper's queue shall not have ended already.
  local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
  if score and score > due then redis.call('ZADD', expiry, due, id .. ref) end
end
settle()
return replies[2] and replies or replies[1]
