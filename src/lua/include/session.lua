-- A session is one text. Its first eight lines are
--   when it was last used, ms
--   how often it was read
--   how often it was written
--   its ttl, seconds, followed by " no_resave" and " until <ms of Redis's clock>" where these hold
--   when it was created, ms
--   id, ip and device, as JSON; empty where there is none
-- and each further line is `"key":value`, a key of its data. No line break stands in front of the first line or behind
-- the last. A text that begins with '>' is no session but what was left where one was: the ref that it was rotated to, or
-- nothing more when it has ended.

local function is_tombstone(text)
  return string.byte(text) == 62
end

-- What is replied for a text that is no session.
local DAMAGED = { err = 'ERR what stands in the place of the session is no session' }
