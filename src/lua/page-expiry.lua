-- Reads a page of the wiper's queue, in which every session of the app has an entry, the earliest first.
--
-- KEYS   1    expiry
-- ARGV   1    the place where the page before ended, see include/place.lua; '' for the first page
--        2    limit
-- Reply  the place where this page ends; its entries (id, as JSON, followed by the ref)
--        nothing when there are none

--@include cursor

local expiry = KEYS[1]
local place, limit = ARGV[1], tonumber(ARGV[2])

local start = 0
if place ~= '' then
  local rank, member = rank_of(place)
  if redis.call('ZRANGE', expiry, rank, rank)[1] == member then rank = rank + 1 end
  start = rank
end
local entries = redis.call('ZRANGE', expiry, start, start + limit - 1)
if #entries == 0 then return {} end
return { cursor_of(entries[#entries]), unpack(entries) }
