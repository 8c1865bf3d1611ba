-- Reads sessions; counts the reads and prolongs the sessions unless told not to.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    how long after its last use a session is prolonged again, ms; empty to leave no trace
--        2..  for each session its ref, and now, ms of the caller's clock
-- Reply  for each session its text, as it was before this read, or the mark that stands there; see include/session.lua
--        "" for one that is not there
--        -2 for one that is left undone, see include/work.lua
--        the lines before its data in an array, for one that is larger than a script takes in; see include/read.lua
--        the error of one that somebody else has spoilt (where it is read without a trace, its text as it is)

--@include index-keys
--@include replies
--@include read
--@include work

-- Texts that are longer than this are not written whole, but in place.
local FEW = 4096

-- Counts a read: puts other numbers in front of a text, of which the rest, from `from` on, stays. With `life` it ends so
-- long from now. Gives the text, or the error where that was impossible.
local function count(session, la, r, text, from, life)
  local head = la .. '\n' .. string.format('%d', r + 1)
  if #text > MAX_TEXT then
    -- Only its beginning is here. Its numbers have zeros in front, so that they stay as long as they are.
    local width = from - #la - 2
    head = la .. '\n' .. string.sub(string.format('%010d', r + 1), -width)
  end
  for attempt = 1, 2 do
    local written
    if #head + 1 == from and (not life or #text > FEW) then
      -- Nearly always they are as long as they were.
      written = redis.pcall('SETRANGE', session, '0', head)
      if life and type(written) ~= 'table' then redis.call('PEXPIRE', session, life) end
    elseif life then
      written = redis.pcall('SET', session, head .. string.sub(text, from), 'PX', life)
    else
      written = redis.pcall('SET', session, head .. string.sub(text, from), 'KEEPTTL')
    end
    if type(written) ~= 'table' or not written.err then return text end
    if attempt == 2 then return written end
    -- A Redis that is out of memory refuses to count, unless the script has written before. Removing an entry that no
    -- index has is such a write, and needs no memory: sessions can be read, and live on, when memory is short.
    redis.call('ZREM', active, '')
  end
end

local touch_interval = tonumber(ARGV[1])
local due = {}

for i = 1, #replies do
  local session = KEYS[5 + i]
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'string' then
      work = work + #text
      if touch_interval and not is_tombstone(text) then
        local la, r, from = string.match(text, '^(%d+)\n(%d+)()\n%d+\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n')
        if not la then
          text = DAMAGED
        elseif math.abs(ARGV[2 * i + 1] - la) >= touch_interval then
          due[#due + 1] = { i, la, r, from, text }
        else
          text = count(session, la, r, text, from)
        end
      end
    end
    replies[i] = text or ''
    if type(text) == 'string' and #text > MAX_TEXT then
      local add_owner = string.match(text, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*')
      replies[i] = add_owner and { add_owner } or DAMAGED
    end
  end
end
-- Busy sessions would pay for the rest on each request.
if #due == 0 then return replies[2] and replies or replies[1] end

--@include parse
--@include next-ttl
--@include record-uses

local uses, before = {}, {}
for _, one in ipairs(due) do
  local i, la, r, from, text = unpack(one)
  local session = KEYS[5 + i]
  local ref, now = ARGV[2 * i], ARGV[2 * i + 1]
  local ttl, flags, _, id = parse(text)
  -- Of calls that read the same session none has seen the others' count.
  before[ref] = (before[ref] or -1) + 1
  local counted = count(session, now, r + before[ref], text, from, next_ttl(ttl, flags))
  if type(counted) == 'table' then replies[i] = counted end
  uses[#uses + 1] = { id, ref, now, la }
end
record_uses(uses)
return replies[2] and replies or replies[1]
