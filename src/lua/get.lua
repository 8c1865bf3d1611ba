-- Reads sessions, counts the reads and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    touch interval: a session is touched if its last use is at least this long ago, ms; empty to write nothing.
--               With "+" in front, the flag " left=" is wanted
--        2..  for each session:
--               ref; to record where the session is used, followed by ip and device, each as JSON with a line feed in front
--               (empty if unknown)
--               now, ms of the caller's clock
-- Reply  for each session its text as it was before this read, but with the flag `skew` of a touch; or the tombstone; see
--        include/session.lua. It has the additional flag " moved" if this read has recorded another ip or device than those of
--        the last use. If wanted, it has the additional flag " left=<PTTL after this read, ms>".
--        "" if there is neither
--        -2 if the call was skipped, see include/work.lua
--        an array with the header lines if the text is larger than a script reads, see include/read.lua
--        the error if the session is damaged (with an empty touch interval, a damaged text is returned as it is)

--@include index-keys
--@include replies
--@include read
--@include reply-of
--@include work

local abs, format, match = math.abs, string.format, string.match

-- Counts a read: replaces the first two lines of a text, which end before the position `from`. The second line is `r`, and
-- becomes `count`. If `ttl_ms` is not nil, resets the session's TTL. Returns the text, or the error.
local function write_reads(session, la, r, count, text, from, ttl_ms)
  local reads = format('%d', count)
  if #reads ~= #r then
    -- Lines of the same length are written in place, so that replicas and the append-only file do not receive the whole text.
    -- Numbers keep their leading zeros for this, and get some if the text is long. Of a text that is longer than MAX_TEXT
    -- only the beginning was read, so its numbers never become longer.
    if #text > 1024 then reads = format('%010d', count) end
    if #reads < #r then reads = string.rep('0', #r - #reads) .. reads end
    if #text > MAX_TEXT then reads = string.sub(reads, -#r) end
  end
  local head = la .. '\n' .. reads
  for attempt = 1, 2 do
    local written
    if #head + 1 == from then
      written = redis.pcall('SETRANGE', session, '0', head)
      if ttl_ms and type(written) ~= 'table' then redis.call('PEXPIRE', session, ttl_ms) end
    elseif ttl_ms then
      written = redis.pcall('SET', session, head .. string.sub(text, from), 'PX', ttl_ms)
    else
      written = redis.pcall('SET', session, head .. string.sub(text, from), 'KEEPTTL')
    end
    if type(written) ~= 'table' or not written.err then return text end
    if attempt == 2 then return written end
    -- When Redis is out of memory it refuses SET and SETRANGE unless the script has written before. ZREM of a member that
    -- does not exist counts as such a write and needs no memory. So sessions are read and touched even then.
    redis.call('ZREM', active, '')
  end
end

-- Lua reads "+1000" as 1000, and "+" as no number.
local touch_interval = tonumber(ARGV[1])
local touched = {}

for i = 1, #replies do
  local session = KEYS[5 + i]
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'string' then
      work = work + #text
      if touch_interval then
        local la, r, from = match(text, '^(%d+)\n(%d+)()\n%d+\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n')
        if not la then
          if not is_tombstone(text) then text = DAMAGED end
        elseif abs(ARGV[2 * i + 1] - la) >= touch_interval then
          touched[#touched + 1] = { i, la, r, from, text }
        else
          text = write_reads(session, la, r, r + 1, text, from)
        end
      end
    end
    replies[i] = reply_of(text or '')
  end
end
local tells_left = string.byte(ARGV[1]) == 43
-- Most requests to a busy session end here. The functions below are created only if a session is touched.
if #touched == 0 and not tells_left then return replies[2] and replies or replies[1] end

--@include parse
--@include next-ttl
--@include skew
--@include write-flags
--@include record-uses

-- Adds a flag to a reply that is a text, or the header of a large one.
local function add_flag(i, flag)
  local reply = replies[i]
  local text = type(reply) == 'table' and reply[1] or reply
  local header, from = match(text or '', '^(%d+\n%d+\n%d+\n[^\n]*)()')
  if not header then return end
  text = header .. flag .. string.sub(text, from)
  replies[i] = type(reply) == 'table' and { text } or text
end

-- `prolonged` contains the texts with the flag `skew` that this run has written.
local uses, earlier_reads, prolonged = {}, {}, {}
for _, touch in ipairs(touched) do
  local i, la, r, from, text = unpack(touch)
  local session = KEYS[5 + i]
  local ref, origin = ARGV[2 * i], ''
  if string.find(ref, '\n', 1, true) then ref, origin = string.match(ref, '^([^\n]*)\n(.*)$') end
  local now = ARGV[2 * i + 1]
  local ttl, flags, _, id = parse(text)
  -- All calls that read the same session in this run found the same count, so each adds the number of calls before it.
  earlier_reads[ref] = (earlier_reads[ref] or -1) + 1
  local ttl_ms = next_ttl(ttl, flags)
  if ttl_ms and earlier_reads[ref] == 0 then
    local new_flags = with_skew(flags, now)
    local new = new_flags ~= flags and write_flags(session, text, new_flags)
    if type(new) == 'string' then prolonged[ref] = new end
  end
  if prolonged[ref] then
    text = prolonged[ref]
    replies[i] = reply_of(text)
  end
  local count = r + earlier_reads[ref] + 1
  local written = write_reads(session, now, r, count, text, from, ttl_ms)
  if type(written) == 'table' then replies[i] = written end
  uses[#uses + 1] = { id, ref, now, la }
  if origin ~= '' and type(written) ~= 'table' then
    --@include note-use
    if note_use(session, text, now, origin) then add_flag(i, ' moved') end
  end
end
record_uses(uses)
if tells_left then
  for i = 1, #replies do
    local session = KEYS[5 + i]
    add_flag(i, ' left=' .. format('%.0f', redis.call('PTTL', session)))
  end
end
return replies[2] and replies or replies[1]
