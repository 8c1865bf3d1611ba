-- Reads a page of the entries in `expiry`, earliest first. Every session of the app has an entry there.
--
-- KEYS   1    expiry
-- ARGV   1    cursor of the previous page, see include/cursor.lua; '' for the first page
--        2    maximum number of entries
-- Reply  the cursor of this page, followed by its entries (id as JSON, followed by the ref)
--        an empty array if there are no more entries

--@include cursor

local expiry = KEYS[1]
local cursor, limit = ARGV[1], tonumber(ARGV[2])

local start = 0
if cursor ~= '' then
  local rank, member = rank_of(cursor)
  if redis.call('ZRANGE', expiry, rank, rank)[1] == member then rank = rank + 1 end
  start = rank
end
local entries = redis.call('ZRANGE', expiry, start, start + limit - 1)
if #entries == 0 then return {} end
return { cursor_of(entries[#entries]), unpack(entries) }
