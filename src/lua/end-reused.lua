-- Ends a session because one of its earlier tokens was used again: that token, or the current one, is in the wrong hands.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
--        7    the record of the tokens' family, see include/family.lua
--        8    the mark that the earlier token was rotated lately
-- ARGV   1    ref
--        2    the record that the caller read
--        3    TTL of the tombstone, ms
-- Reply  1 if the session was ended for this reason, now or before
--        0 if there is no session, or if the earlier token was rotated lately; nothing is written
--        -1 if the record has changed; nothing is written

--@announce --@include announce
--@include index-keys
--@include parse
--@include read-header
--@include remove-from-index

local session, family, mark = KEYS[6], KEYS[7], KEYS[8]
local ref, record, tombstone_ttl = ARGV[1], ARGV[2], ARGV[3]

if redis.call('GET', family) ~= record then return -1 end
if redis.call('EXISTS', mark) == 1 then return 0 end
local text = read_header(session)
if text == '> reused' then return 1 end
local _, _, _, id = parse(type(text) == 'string' and text or '')
if not id then return 0 end
redis.call('DEL', session)
redis.call('SET', session, '> reused', 'PX', tombstone_ttl)
remove_from_index(id, ref)
flush_owners()
--@announce announce('ended', ref, id, 'reused')
--@announce publish()
return 1
