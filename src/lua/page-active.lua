-- Reads a page of refs by last activity, latest first.
--
-- KEYS   1    active
-- ARGV   1    cursor of the previous page, see include/cursor.lua; '' for the first page
--        2    earliest activity to return, ms
--        3    maximum number of refs
--        4    '1' to return the times of the last activity, too; otherwise missing
-- Reply  the cursor of this page, followed by its refs in reverse order (earliest first), each with its time (ms) behind it if ARGV[4]
--        is '1'
--        an empty array if there are no more refs

--@include cursor

local active = KEYS[1]
local cursor, since, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])

local stop = cursor == '' and redis.call('ZCARD', active) or rank_of(cursor)
local start = math.max(stop - limit, redis.call('ZCOUNT', active, '-inf', '(' .. since))
if start >= stop then return {} end
if ARGV[4] == '1' then
  local refs = redis.call('ZRANGE', active, start, stop - 1, 'WITHSCORES')
  return { cursor_of(refs[1]), unpack(refs) }
end
local refs = redis.call('ZRANGE', active, start, stop - 1)
return { cursor_of(refs[1]), unpack(refs) }
