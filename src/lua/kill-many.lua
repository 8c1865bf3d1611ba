-- Ends a chunk of sessions that were met in the index.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session to spare; the first index key again when there is none
--        7..  the sessions
-- ARGV   1    how long a mark is left where each session was, ms; 0 for none
--        2..  for each user in turn: id, as JSON; how many of the sessions are met as theirs; the refs of these
-- Reply  how many sessions were ended
--        -1 when the session to spare was rotated meanwhile; nothing is written

--@include index-keys
--@include session
--@include read-header
--@include user-sessions
--@include leave-tombstone

local spared, tombstone_ttl = KEYS[6], tonumber(ARGV[1])

if spared ~= active and is_tombstone(read_header(spared) or '') then return -1 end

-- Whether a text is that of a session of `id`. The first quotation mark in a session is that of its id, unless there is an
-- empty line before, where the id should be. JSON ends where it seems to, so no id is the beginning of another.
local function is_of(id, text)
  local at = string.find(text, '"', 1, true)
  if not at or string.byte(text, at - 2) == 10 then return id == ANONYMOUS end
  return string.sub(text, at, at + #id - 1) == id
end

-- For each user where their id stands in ARGV.
local places, ids = {}, {}
local at = 2
while at <= #ARGV do
  places[#places + 1] = at
  ids[#ids + 1] = ARGV[at]
  at = at + 2 + ARGV[at + 1]
end
load_user_sessions(ids)

local ended, refs, entries = {}, {}, {}
for _, place in ipairs(places) do
  local id, first, last = ARGV[place], place + 2, place + 1 + ARGV[place + 1]
  for at = first, last do
    local i, ref = #entries + 1, ARGV[at]
    local session = KEYS[6 + i]
    -- All that is asked for stands at the beginning, however much data follows.
    local text = redis.pcall('GETRANGE', session, '0', '1023')
    if type(text) ~= 'string' or text == '' or is_tombstone(text) then
      -- Gone, or rotated and in the index anew under its new ref.
      refs[#refs + 1] = ref
    elseif is_of(id, text) then
      ended[#ended + 1] = session
      refs[#refs + 1] = ref
    end
    -- Otherwise it belongs to another user by now and stands in the index anew: only the old entry is stale.
    entries[i] = id .. ref
  end
  if list_of(id) == '\n' .. table.concat(ARGV, '\n', first, last) .. '\n' then
    -- Most users have these and no more.
    lists[id], changed[id] = '\n', true
  elseif id ~= ANONYMOUS then
    for at = first, last do remove_owner(id, ARGV[at]) end
  end
end
if #ended > 0 then redis.call('DEL', unpack(ended)) end
for _, session in ipairs(ended) do leave_tombstone(session, tombstone_ttl) end
if #refs > 0 then redis.call('ZREM', active, unpack(refs)) end
redis.call('ZREM', expiry, unpack(entries))
flush_owners()
return #ended
