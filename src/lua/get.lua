-- Reads sessions, counts the reads and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    touch interval: a session is touched if its last use is at least this long ago, ms; empty to write nothing
--        2..  for each session its ref, and now, ms of the caller's clock
-- Reply  for each session its text as it was before this read, but with the flag `skew` of a touch; or the tombstone; see
--        include/session.lua
--        "" if there is neither
--        -2 if the call was skipped, see include/work.lua
--        an array with the header lines if the text is larger than a script reads, see include/read.lua
--        the error if the session is damaged (with an empty touch interval, a damaged text is returned as it is)

--@include index-keys
--@include replies
--@include read
--@include reply-of
--@include work

-- Texts longer than this are changed in place with SETRANGE rather than written with SET.
local MAX_SET = 4096

-- Counts a read: replaces the first two lines of a text, which end before the position `from`. If `ttl_ms` is not nil, resets
-- the session's TTL. If `flags_end` is not nil, the flags in `text` are new and end before that position; `is_resized` says that
-- their length has changed. Returns the text, or the error.
local function count(session, la, r, text, from, ttl_ms, flags_end, is_resized)
  local head = la .. '\n' .. string.format('%d', r + 1)
  if #text > MAX_TEXT then
    -- Only the beginning of the text was read, so its length must not change. The counts of large sessions are padded with
    -- zeros for this.
    local width = from - #la - 2
    head = la .. '\n' .. string.sub(string.format('%010d', r + 1), -width)
  end
  if flags_end then head, from = head .. string.sub(text, from, flags_end - 1), flags_end end
  for attempt = 1, 2 do
    local written
    if #head + 1 == from and not is_resized and (not ttl_ms or #text > MAX_SET) then
      -- The lines nearly always keep their length.
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
    replies[i] = reply_of(text or '')
  end
end
-- Most requests to a busy session end here. The functions below are created only if a session is touched.
if #touched == 0 then return replies[2] and replies or replies[1] end

--@include parse
--@include next-ttl
--@include skew
--@include record-uses

local uses, earlier_reads = {}, {}
for _, touch in ipairs(touched) do
  local i, la, r, from, text = unpack(touch)
  local session = KEYS[5 + i]
  local ref, now = ARGV[2 * i], ARGV[2 * i + 1]
  local ttl, flags, _, id = parse(text)
  -- All calls that read the same session in this run found the same count, so each adds the number of calls before it.
  earlier_reads[ref] = (earlier_reads[ref] or -1) + 1
  local ttl_ms = next_ttl(ttl, flags)
  local new_flags = ttl_ms and with_skew(flags, now) or flags
  local is_resized, flags_end = #new_flags ~= #flags, nil
  if new_flags ~= flags and not (is_resized and #text > MAX_TEXT) then
    text, flags_end = replace_flags(text, new_flags)
    replies[i] = reply_of(text)
  end
  local counted = count(session, now, r + earlier_reads[ref], text, from, ttl_ms, flags_end, is_resized)
  if type(counted) == 'table' then replies[i] = counted end
  uses[#uses + 1] = { id, ref, now, la }
end
record_uses(uses)
return replies[2] and replies or replies[1]
