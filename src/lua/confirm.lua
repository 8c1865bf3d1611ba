-- Records that a session's user was authenticated now. Counts no read and no write, and does not touch the session.
--
-- KEYS   1-5  the index, see include/index-keys.lua
--        6    the session
-- ARGV   1    ref
--        2    now, ms of the caller's clock
-- Reply  the session's new text
--        an array with its header lines if the text is larger than a script reads, see include/read.lua
--        the tombstone, see include/session.lua; nothing is written
--        "" if there is neither; nothing is written
--        -3 if the text is that large, and its header has no room; nothing is written
--        -5 if the session is impersonated, so its user was not there; nothing is written
--        the error if the session is damaged; nothing is written

--@announce --@include announce
--@include index-keys
--@include parse
--@include read
--@include reply-of
--@include work
--@include write-flags

local IMPERSONATED = -5

local session, ref, now = KEYS[6], ARGV[1], ARGV[2]

local text = read(session) or ''
if type(text) == 'table' or text == '' or is_tombstone(text) then return text end
local _, flags, _, id = parse(text)
if not flags then return DAMAGED end
if string.find(flags, ' actor=', 1, true) then return IMPERSONATED end
local others = string.gsub(flags, ' authTime=%d+', '')
local new = write_flags(session, text, others .. ' authTime=' .. now)
if not new then
  -- Where the session was used last may be forgotten, a confirmation not.
  new = write_flags(session, text, without_last_use(others) .. ' authTime=' .. now)
end
if not new then return TOO_MUCH end
--@announce if type(new) == 'string' then announce('changed', ref, id) end
--@announce publish()
return reply_of(new)
