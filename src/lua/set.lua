-- Merges data into sessions, key by key, counts the writes and prolongs the sessions.
--
-- KEYS   1-5  the index, see include/index.lua
--        6..  the sessions
-- ARGV   1    the most bytes that a session's data may have, lines as in include/session.lua
--        2..  for each session:
--               its ref
--               now, ms of the caller's clock
--               changes of its data, see include/merge.lua
-- Reply  for each session its text, as it is now but for when it was last used, which is as it was before this write; or
--        the mark that stands there, and then nothing is written; see include/session.lua
--        "" for one that is not there; nothing is written
--        -1 for one whose data would grow beyond what it may have; nothing is written
--        the error of one that somebody else has spoilt; nothing is written

--@include index
--@include replies
--@include parse
--@include merge
--@include life
--@include note-uses

local most = tonumber(ARGV[1])
local uses = {}

local function write(session, ref, text, now, changes)
  local la, r, w, rest, data =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)()\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  local due = math.abs(now - la) >= 1000
  local head = (due and now or la) .. r .. string.format('%d', w + 1)
  local new = merge(head .. string.sub(text, rest), changes)
  local size = #new - #head - (data - rest)
  if size > most and size > #text - data + 1 then return -1 end
  local life, id
  if due then
    local ttl, terms, _
    ttl, terms, _, id = parse(text)
    life = life_of(ttl, terms)
  end
  local written
  if life then
    written = redis.pcall('SET', session, new, 'PX', life)
  else
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  end
  if written.err then return written end
  if not due then return new end
  uses[#uses + 1] = { id, ref, now, la }
  return la .. string.sub(new, #now + 1)
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 3 * i - 1
  local text = redis.pcall('GET', session)
  if type(text) == 'string' and not is_mark(text) then
    text = write(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2])
  end
  replies[i] = text or ''
end
note_uses(uses)
return replies[2] and replies or replies[1]
