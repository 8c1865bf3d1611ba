-- Reads the texts of sessions, as many of the first ones as fit into a number of bytes.
--
-- KEYS   1..  the sessions
-- ARGV   1    bytes
-- Reply  for each session that was read its text, or what else is there, see include/session.lua; "" for nothing, and for
--        what is not text
--        nothing when the first one alone is longer

local max, left = ARGV[1], tonumber(ARGV[1])

local texts = {}

-- Whether there was room for all of them.
local function take(found)
  for _, text in ipairs(found) do
    text = text or ''
    if #text > left then return false end
    left = left - #text
    texts[#texts + 1] = text
  end
  return true
end

-- One MGET for several sessions costs a fraction of a command for each. How long they are is not known before: the first
-- ones are read by themselves and no further than they may be long, and a group is no larger than what is left divided
-- by four times the average so far.
local ALONE, MAX_GROUP = 3, 8
while #texts < #KEYS do
  local from = #texts + 1
  local found
  if from <= ALONE then
    local session = KEYS[from]
    local text = redis.pcall('GETRANGE', session, '0', max)
    found = { type(text) == 'string' and text or '' }
  else
    local average = (max - left) / #texts
    local size = math.max(1, math.min(MAX_GROUP, math.floor(left / (4 * average + 1))))
    found = redis.call('MGET', unpack(KEYS, from, math.min(from + size - 1, #KEYS)))
  end
  if not take(found) then break end
end
return texts
