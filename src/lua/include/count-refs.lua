-- Returns how many refs a user has, in the field of `user_sessions` and in the overflow. Some sessions may have expired since.
local function count_refs(id, field)
  local _, line_feeds = string.gsub(field, '\n', '')
  -- A field that begins with "+" has an overflow, see user-sessions.lua.
  if string.byte(field) ~= 43 then return line_feeds - 1 end
  local first, last = '[' .. id, '[' .. id .. '\244\143\191\191'
  return line_feeds - 1 + redis.call('ZLEXCOUNT', user_sessions_overflow, first, last)
end

-- The reply for a session that would be one too many for its user.
local FULL = -5
