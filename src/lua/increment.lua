-- Adds to an integer in the data of sessions, counts the writes and touches the sessions.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6..  the sessions
-- ARGV   1    maximum number of bytes of a session's data
--        2    maximum number of keys of a session's data
--        3..  for each session:
--               ref
--               now, ms of the caller's clock; empty if the write is no use of the session
--               the line of the key without its value, see include/search.lua; a missing key counts as 0
--               the integer to add
--               the largest value to reach by adding; empty for no limit
-- Reply  for each session "+" and its new value
--        "=" and its value if the new one would be larger than the largest; nothing is written
--        the tombstone, see include/session.lua; nothing is written
--        "" if there is neither; nothing is written
--        -1 if the data would have too many bytes, -4 if too many keys; nothing is written
--        -2 if the call was skipped, -3 if it is too much work, see include/work.lua; nothing is written
--        -5 if the value is not an integer, -6 if the new one would be too large to be exact; nothing is written
--        the error if the session is damaged; nothing is written

--@announce --@include announce
--@include index-keys
--@include replies
--@include read
--@include write

local max_bytes, max_keys = tonumber(ARGV[1]), tonumber(ARGV[2])

-- The largest integer that a double represents exactly, together with all smaller ones: 2^53 - 1.
local MAX_INTEGER = 9007199254740991
local NOT_INTEGER, INEXACT = -5, -6

local function increment(session, ref, text, now, key, by, max)
  local data = string.match(text, '^%d+\n%d+\n%d+\n[^ \n][^\n]*\n%d+\n[^\n]*\n[^\n]*\n[^\n]*()')
  if not data then return DAMAGED end
  local _, to = string.find(text, key, data, true)
  work = work + (to or #text) - data
  local json = to and string.match(text, '^[^\n]*', to + 1) or '0'
  local value = string.find(json, '^-?%d+$') and tonumber(json)
  if not value or math.abs(value) > MAX_INTEGER then return NOT_INTEGER end
  local sum = value + by
  if max and by > 0 and sum > max then return '=' .. string.format('%.0f', value) end
  if math.abs(sum) > MAX_INTEGER then return INEXACT end
  local digits = string.format('%.0f', sum)
  local written = write(session, ref, text, now, key .. digits, max_bytes, max_keys)
  return type(written) == 'string' and '+' .. digits or written
end

for i = 1, #replies do
  local session, at = KEYS[5 + i], 5 * i - 2
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
        local by, max = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
        text = increment(session, ARGV[at], text, ARGV[at + 1], ARGV[at + 2], by, max)
      end
    end
    replies[i] = text or ''
  end
end
if #uses > 0 then
  --@include record-uses
  record_uses(uses)
end
--@announce publish()
return replies[2] and replies or replies[1]
