-- Reads sessions, counts the reads and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    touch interval: a session is touched if its last use is at least this long ago, ms; empty to write nothing
--        2..  for each session:
--               ref; to record where the session is used, followed by ip and device, each as JSON with a line feed in front
--               (empty if unknown)
--               now, ms of the caller's clock
-- Reply  for each session its text as it was before this read, or the tombstone; see include/session.lua. It has the additional
--        flag " moved" if this read has recorded another ip or device than those of the last use.
--        "" if there is neither
--        -2 if the call was skipped, see include/work.lua
--        an array with the header lines if the text is larger than a script reads, see include/read.lua
--        the error if the session is damaged (with an empty touch interval, a damaged text is returned as it is)

--@include index-keys
--@include replies
--@include read
--@include work

-- Texts longer than this are changed in place with SETRANGE rather than written with SET.
local MAX_SET = 4096

-- Counts a read: replaces the first two lines of a text, which end before the position `from`. If `ttl_ms` is not nil, resets
-- the session's TTL. Returns the text, or the error.
local function count(session, la, r, text, from, ttl_ms)
  local head = la .. '\n' .. string.format('%d', r + 1)
  if #text > MAX_TEXT then
    -- Only the beginning of the text was read, so its length must not change. The counts of large sessions are padded with
    -- zeros for this.
    local width = from - #la - 2
    head = la .. '\n' .. string.sub(string.format('%010d', r + 1), -width)
  end
  for attempt = 1, 2 do
    local written
    if #head + 1 == from and (not ttl_ms or #text > MAX_SET) then
      -- The two lines nearly always keep their length.
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
      if touch_interval and not is_tombstone(text) then
        local la, r, from = string.match(text, '^(%d+)\n(%d+)()\n%d+\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n')
        if not la then
          text = DAMAGED
        elseif math.abs(ARGV[2 * i + 1] - la) >= touch_interval then
          touched[#touched + 1] = { i, la, r, from, text }
        else
          text = count(session, la, r, text, from)
        end
      end
    end
    replies[i] = text or ''
    if type(text) == 'string' and #text > MAX_TEXT then
      local header = string.match(text, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*')
      replies[i] = header and { header } or DAMAGED
    end
  end
end
-- Most requests to a busy session end here. The functions below are created only if a session is touched.
if #touched == 0 then return replies[2] and replies or replies[1] end

--@include parse
--@include next-ttl
--@include record-uses

local uses, earlier_reads = {}, {}
for _, touch in ipairs(touched) do
  local i, la, r, from, text = unpack(touch)
  local session = KEYS[5 + i]
  local ref, origin = string.match(ARGV[2 * i], '^([^\n]*)\n?(.*)$')
  local now = ARGV[2 * i + 1]
  local ttl, flags, _, id = parse(text)
  -- All calls that read the same session in this run found the same count, so each adds the number of calls before it.
  earlier_reads[ref] = (earlier_reads[ref] or -1) + 1
  local counted = count(session, now, r + earlier_reads[ref], text, from, next_ttl(ttl, flags))
  if type(counted) == 'table' then replies[i] = counted end
  uses[#uses + 1] = { id, ref, now, la }
  if origin ~= '' and type(counted) ~= 'table' then
    --@include note-use
    if note_use(session, text, now, origin) then
      local reply = replies[i]
      local header, from = string.match(type(reply) == 'table' and reply[1] or reply, '^(%d+\n%d+\n%d+\n[^\n]*)()')
      if type(reply) == 'table' then
        replies[i] = { header .. ' moved' .. string.sub(reply[1], from) }
      else
        replies[i] = header .. ' moved' .. string.sub(reply, from)
      end
    end
  end
end
record_uses(uses)
return replies[2] and replies or replies[1]
