-- Touches sessions without counting a read, and changes their ttl.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1..  for each session:
--               ref
--               now, ms of the caller's clock
--               new ttl, whole seconds; empty to keep the ttl
-- Reply  for each session its new text, but with the time of the last use before this touch
--        an array with the header lines if the text is larger than a script reads, see include/read.lua
--        the tombstone, see include/session.lua; nothing is written
--        "" if there is neither; nothing is written
--        -2 if the call was skipped, -3 if the header of a large session has no room, see include/work.lua; nothing is written
--        -5 if the session is impersonated, which no ttl may prolong; nothing is written
--        the error if the session is damaged; nothing is written

--@announce --@include announce
--@include index-keys
--@include replies
--@include parse
--@include read
--@include reply-of
--@include work
--@include next-ttl
--@include skew
--@include record-uses

local IMPERSONATED = -5
local uses = {}

-- Returns the ttl with which a no_resave session ends `new_ttl` seconds after now, and its TTL in ms. Its ttl counts from its
-- creation. Readers expect whole seconds, so it is rounded down.
local function prolong_no_resave(flags, created, new_ttl)
  local start = created - (tonumber(string.match(flags, ' skew=(%S+)')) or 0)
  local ttl = math.floor((clock() - start) / 1000 + new_ttl)
  local prolongable = string.gsub(flags, ' no_resave', '')
  return string.format('%.0f', ttl), next_ttl(ttl - (clock() - start) / 1000, prolongable)
end

local function touch(session, ref, text, now, new_ttl)
  local ttl, flags, created, id, la = parse(text)
  if not la then return DAMAGED end
  if new_ttl ~= '' and string.find(flags, ' actor=', 1, true) then return IMPERSONATED end
  local counts, from, to = string.match(text, '^%d+(\n%d+\n%d+\n)()[^\n]*()')
  local new_flags, ttl_ms = flags, nil
  if new_ttl ~= '' and string.find(flags, ' no_resave', 1, true) then
    ttl, ttl_ms = prolong_no_resave(flags, created, new_ttl)
  else
    if new_ttl ~= '' then ttl = new_ttl end
    ttl_ms = next_ttl(ttl, flags)
    if ttl_ms then new_flags = with_skew(flags, now) end
  end
  -- The record of the tokens' family must live longer, too. This flag says that the current token was not used yet, so its next
  -- use writes the record again, see see.lua.
  if new_ttl ~= '' then new_flags = string.gsub(new_flags, ' rotated=1', ' rotated=0') end
  local line4 = ttl .. new_flags
  -- Spaces keep the room that a long session has for flags.
  if string.byte(text, to - 1) == 32 then line4 = line4 .. string.rep(' ', to - from - #line4) end
  -- Of a large text only the beginning was read, so its length must not change.
  if #text > MAX_TEXT and #line4 ~= to - from then return TOO_MUCH end
  local head = now .. counts .. line4
  -- When Redis is out of memory it refuses SET unless the script has written before, see get.lua.
  redis.call('ZREM', active, '')
  local written
  if #head + 1 == to then
    written = redis.pcall('SETRANGE', session, '0', head)
    if ttl_ms then redis.call('PEXPIRE', session, ttl_ms) end
  elseif ttl_ms then
    written = redis.pcall('SET', session, head .. string.sub(text, to), 'PX', ttl_ms)
  else
    written = redis.pcall('SET', session, head .. string.sub(text, to), 'KEEPTTL')
  end
  if type(written) == 'table' and written.err then return written end
  uses[#uses + 1] = { id, ref, now, la }
  --@announce if new_ttl ~= '' then announce('changed', ref, id) end
  if ttl_ms and new_ttl ~= '' then
    -- If the session now ends earlier, the wiper must check it earlier.
    local score = tonumber(redis.call('ZSCORE', expiry, id .. ref))
    if score and score > clock() + ttl_ms then redis.call('ZADD', expiry, clock() + ttl_ms, id .. ref) end
  end
  return reply_of(la .. counts .. line4 .. string.sub(text, to))
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 3 * i - 2
  if i > 1 and work >= MAX_WORK then
    replies[i] = UNDONE
  else
    local text = read(session)
    if type(text) == 'string' and not is_tombstone(text) then
      work = work + #text
      text = touch(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2])
    end
    replies[i] = text or ''
  end
end
record_uses(uses)
--@announce publish()
return replies[2] and replies or replies[1]
