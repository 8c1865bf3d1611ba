-- Reads the texts of sessions until a number of bytes is reached.
--
-- KEYS   1..  the sessions
-- ARGV   1    maximum number of bytes
-- Reply  for each session that was read its text or tombstone, see include/session.lua; "" if the key does not exist or is not
--        a string
--        an empty array if the first session alone is larger

local max_bytes, left = ARGV[1], tonumber(ARGV[1])

local texts = {}

-- Adds texts to the reply while they fit. Returns whether all did.
local function take(found)
  for _, text in ipairs(found) do
    text = text or ''
    if #text > left then return false end
    left = left - #text
    texts[#texts + 1] = text
  end
  return true
end

-- One MGET costs a fraction of a command for each session, but the sizes are not known in advance. So the first sessions are
-- read one by one, up to the maximum. A group for MGET is then no larger than a quarter of what fits by the average so far.
local ALONE, MAX_GROUP = 3, 8
while #texts < #KEYS do
  local from = #texts + 1
  local found
  if from <= ALONE then
    local session = KEYS[from]
    local text = redis.pcall('GETRANGE', session, '0', max_bytes)
    found = { type(text) == 'string' and text or '' }
  else
    local average = (max_bytes - left) / #texts
    local size = math.max(1, math.min(MAX_GROUP, math.floor(left / (4 * average + 1))))
    found = redis.call('MGET', unpack(KEYS, from, math.min(from + size - 1, #KEYS)))
  end
  if not take(found) then break end
end
return texts
