-- Merges data into sessions, key by key, counts the writes and prolongs the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    the most bytes that a session's data may have, lines as in include/session.lua
--        2    the most keys that it may have
--        3..  for each session:
--               its ref
--               now, ms of the caller's clock
--               changes of its data, see include/merge.lua
-- Reply  for each session its text, as it is now but for when it was last used, which is as it was before this write; or
--        the mark that stands there, and then nothing is written; see include/session.lua
--        "" for one that is not there; nothing is written
--        -1 for one whose data would have too many bytes, -4 for too many keys; nothing is written
--        -2 for one that is left undone, -3 where it is too much work; nothing is written; see include/work.lua
--        the error of one that somebody else has spoilt; nothing is written

--@include index-keys
--@include replies
--@include parse
--@include read
--@include merge
--@include next-ttl
--@include record-uses

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])
local uses = {}

local function write(session, ref, text, now, changes)
  local la, r, w, rest, data =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)()\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  local due = math.abs(now - la) >= 1000
  local head = (due and now or la) .. r .. string.format('%d', w + 1)
  local new = merge_within(head, text, rest, data, changes, max_bytes, max_keys)
  if type(new) ~= 'string' then return new end
  local life, id
  if due then
    local ttl, flags, _
    ttl, flags, _, id = parse(text)
    life = next_ttl(ttl, flags)
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
  local session, at = KEYS[5 + i], 3 * i
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'string' then
      -- It is copied several times.
      work = work + 2 * #text
      if #text > MAX_TEXT then
        text = TOO_MUCH
      elseif not is_tombstone(text) then
        text = write(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2])
      end
    end
    replies[i] = text or ''
  end
end
record_uses(uses)
return replies[2] and replies or replies[1]
