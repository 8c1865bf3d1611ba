-- Ends a chunk of sessions that were found in the index.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session that `except` names, which must not be among the sessions; the first index key if there is none
--        7..  the sessions
-- ARGV   1    TTL of the tombstones, ms; 0 for none
--        2..  for each user: id, as JSON; number of the user's refs; the refs, in the order of the sessions
-- Reply  the number of sessions that were ended
--        -1 if the `except` session was rotated since; nothing is written

--@announce --@include announce
--@include index-keys
--@include session
--@include read-header
--@include remove-owner
--@include leave-tombstone

local except, tombstone_ttl = KEYS[6], tonumber(ARGV[1])

if except ~= active and is_tombstone(read_header(except) or '') then return -1 end

-- Returns whether a text is a session of `id`. The first quotation mark of a session begins its id, unless an empty line comes
-- before it: then the session is anonymous. An id as JSON ends with its own quotation mark, so no id is a prefix of another.
local function is_of(id, text)
  local at = string.find(text, '"', 1, true)
  if not at or string.byte(text, at - 2) == 10 then return id == ANONYMOUS end
  return string.sub(text, at, at + #id - 1) == id
end

-- The users' ids, and their positions in ARGV.
local positions, ids = {}, {}
local at = 2
while at <= #ARGV do
  positions[#positions + 1] = at
  ids[#ids + 1] = ARGV[at]
  at = at + 2 + ARGV[at + 1]
end
load_user_sessions(ids)

local ended, refs, entries = {}, {}, {}
for _, position in ipairs(positions) do
  local id, first, last = ARGV[position], position + 2, position + 1 + ARGV[position + 1]
  for at = first, last do
    local i, ref = #entries + 1, ARGV[at]
    local session = KEYS[6 + i]
    -- As read_header(), but without a second command if the session does not exist.
    local text = redis.pcall('GETRANGE', session, '0', '511')
    local is_text = type(text) == 'string'
    if is_text and #text == 512 and not string.find(text, HEADER) then text = read_header(session) end
    if not is_text or text == '' or is_tombstone(text) then
      -- The session has ended, or the index lists it under its new ref.
      refs[#refs + 1] = ref
      --@announce -- It has expired if it is listed. There may be a tombstone, because someone tried to end it afterwards.
      --@announce if redis.call('ZSCORE', expiry, id .. ref) then announce('ended', ref, id, 'expired') end
    elseif is_of(id, text) then
      ended[#ended + 1] = session
      refs[#refs + 1] = ref
      --@announce announce('ended', ref, id, reason)
    end
    -- Otherwise the session now belongs to another user, and only this user's entries are stale.
    entries[i] = id .. ref
  end
  if field_of(id) == '\n' .. table.concat(ARGV, '\n', first, last) .. '\n' then
    -- Nearly always these are all sessions of the user.
    fields[id], changed[id] = '\n', true
  elseif id ~= ANONYMOUS then
    for at = first, last do remove_owner(id, ARGV[at]) end
  end
end
if #ended > 0 then redis.call('DEL', unpack(ended)) end
for _, session in ipairs(ended) do leave_tombstone(session, tombstone_ttl) end
if #refs > 0 then redis.call('ZREM', active, unpack(refs)) end
redis.call('ZREM', expiry, unpack(entries))
flush_owners()
--@announce publish()
return #ended
