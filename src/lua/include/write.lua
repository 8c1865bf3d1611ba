--@include merge

-- The touched sessions, for record_uses().
local uses = {}

-- Returns the text of a session that is touched, with its new flags; the position of its data; the TTL that it gets, as next_ttl()
-- does; and its id. Created when the first session is touched, because most writes to a busy session do not touch it.
local touched

-- Merges `changes` into a session, counts the write and touches the session, unless `now` is empty. Announces the change. Returns
-- the new text, but with the time of the last use before this write; or the reply of merge_within() or the error, and nothing is written.
local function write(session, ref, text, now, changes, max_bytes, max_keys)
  local la, r, w, rest, data =
    string.match(text, '^(%d+)(\n%d+\n)(%d+)()\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n[^\n]*()')
  if not la then return DAMAGED end
  local is_touched = now ~= '' and math.abs(now - la) >= 1000
  local ttl_ms, id
  if is_touched then
    if not touched then
      --@include parse
      --@include next-ttl
      --@include skew
      --@include replace-flags
      touched = function(before, data_at, at)
        local ttl, flags, _, session_id = parse(before)
        local new_ttl_ms = next_ttl(ttl, flags)
        local new_flags = new_ttl_ms and with_skew(flags, at) or flags
        if new_flags == flags then return before, data_at, new_ttl_ms, session_id end
        local after = replace_flags(before, new_flags)
        return after, data_at + #after - #before, new_ttl_ms, session_id
      end
    end
    text, data, ttl_ms, id = touched(text, data, now)
  end
  local head = (is_touched and now or la) .. r .. string.format('%d', w + 1)
  local new = merge_within(head, text, rest, data, changes, max_bytes, max_keys)
  if type(new) ~= 'string' then return new end
  local written
  if ttl_ms then
    written = redis.pcall('SET', session, new, 'PX', ttl_ms)
  else
    written = redis.pcall('SET', session, new, 'KEEPTTL')
  end
  if written.err then return written end
  --@announce announce('changed', ref, id_in(new))
  if not is_touched then return new end
  uses[#uses + 1] = { id, ref, now, la }
  return la .. string.sub(new, #now + 1)
end
