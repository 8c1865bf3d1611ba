-- Merges data into sessions key by key, counts the writes and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    maximum number of bytes of a session's data
--        2    maximum number of keys of a session's data
--        3..  for each session:
--               ref
--               now, ms of the caller's clock
--               changes of the data, see include/search.lua
-- Reply  for each session its new text, but with the time of the last use before this write
--        the tombstone, see include/session.lua; nothing is written
--        "" if there is neither; nothing is written
--        -1 if the data would have too many bytes, -4 if too many keys; nothing is written
--        -2 if the call was skipped, -3 if it is too much work, see include/work.lua; nothing is written
--        the error if the session is damaged; nothing is written

--@include index-keys
--@include replies
--@include read
--@include merge

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])
local uses = {}
-- Returns the TTL that a session gets, as next_ttl() does, and its id. Created when the first session is touched, because most
-- writes to a busy session do not touch it.
local next_ttl_of

local function write(session, ref, text, now, changes)
  local la, r, w, rest, data =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)()\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  local is_touched = math.abs(now - la) >= 1000
  local head = (is_touched and now or la) .. r .. string.format('%d', w + 1)
  local new = merge_within(head, text, rest, data, changes, max_bytes, max_keys)
  if type(new) ~= 'string' then return new end
  local ttl_ms, id
  if is_touched then
    if not next_ttl_of then
      --@include parse
      --@include next-ttl
      next_ttl_of = function(session_text)
        local ttl, flags, _, session_id = parse(session_text)
        return next_ttl(ttl, flags), session_id
      end
    end
    ttl_ms, id = next_ttl_of(text)
  end
  local written
  if ttl_ms then
    written = redis.pcall('SET', session, new, 'PX', ttl_ms)
  else
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  end
  if written.err then return written end
  if not is_touched then return new end
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
      -- A write copies the text several times.
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
if #uses > 0 then
  --@include record-uses
  record_uses(uses)
end
return replies[2] and replies or replies[1]
