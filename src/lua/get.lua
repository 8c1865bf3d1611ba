-- Reads sessions; counts the reads and prolongs the sessions unless told not to.
--
-- KEYS   1-5  the index, see include/index.lua
--        6..  the sessions
-- ARGV   1    '1' to count and prolong, '0' to leave no trace
--        2    how long after its last use a session is prolonged again, ms
--        3..  for each session its ref, and now, ms of the caller's clock
-- Reply  for each session its text, as it was before this read, or the mark that stands there; see include/session.lua
--        "" for one that is not there
--        the error of one that somebody else has spoilt (where it is read without a trace, its text as it is)

--@include index
--@include replies
--@include session
--@include life
--@include note-uses

-- Writes the beginning of a session, of which the rest stays; with `life` it ends so long from now.
local function write(session, head, rest, text, life)
  if life then return redis.pcall('SET', session, head .. rest, 'PX', life) end
  -- Nearly always it is as long as it was.
  if #head + #rest == #text then return redis.pcall('SETRANGE', session, '0', head) end
  return redis.pcall('SET', session, head .. rest, 'KEEPTTL')
end

local touch, gap = ARGV[1] == '1', tonumber(ARGV[2])
local uses = {}

local function read(session, ref, text, now)
  local la, r, rest = string.match(text, '^(%d+)\n(%d+)()\n%d+\n[^\n]+\n%d+\n[^\n]*\n[^\n]*\n')
  if not la then return DAMAGED end
  local life
  -- Busy sessions would pay for it on each request.
  local due = math.abs(now - la) >= gap
  if due then
    local ttl, terms, _, id = parse(text)
    life = life_of(ttl, terms)
    uses[#uses + 1] = { id, ref, now, la }
  end
  rest = string.sub(text, rest)
  local head = (due and now or la) .. '\n' .. string.format('%.0f', r + 1)
  local written = write(session, head, rest, text, life)
  if type(written) == 'table' and written.err then
    -- A Redis that is out of memory refuses to count, unless the script has written before. Removing an entry that no
    -- index has is such a write, and needs no memory: sessions can be read, and live on, when memory is short.
    redis.call('ZREM', active, '')
    written = write(session, head, rest, text, life)
    if type(written) == 'table' and written.err then return written end
  end
  return text
end

for i = 1, #replies do
  local session = KEYS[5 + i]
  local text = redis.pcall('GET', session)
  if touch and type(text) == 'string' and not is_mark(text) then
    text = read(session, ARGV[2 * i + 1], text, ARGV[2 * i + 2])
  end
  replies[i] = text or ''
end
note_uses(uses)
return replies
