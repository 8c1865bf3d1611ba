-- A session is one text. Its first eight lines are the header:
--   time of the last use, ms
--   number of reads
--   number of writes
--   ttl in seconds, followed by the flags that apply: " no_resave", " until <ms of Redis's clock>", and flags of the form
--   " name=value" with a percent-encoded value, such as " skew=<ms>" (see include/skew.lua). In a large session spaces may
--   follow, see include/write-flags.lua
--   time of creation, ms
--   id, ip and device, as JSON; each line is empty if there is no value
-- Each further line is a key of the data, `"key":value`. The text neither begins nor ends with a line feed.
-- A text that begins with '>' is a tombstone: '>' alone if the session has ended, '>' and the new ref (a redirect) if it was
-- rotated.

local function is_tombstone(text)
  return string.byte(text) == 62
end

-- The reply for a text that is not a session.
local DAMAGED = { err = "ERR the value at the session's key is not a session" }
