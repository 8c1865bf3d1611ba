--@include user-sessions

-- Returns how many sessions a user has in the index. Some may have expired since.
local function count_sessions(id)
  local field = field_of(id)
  local _, line_feeds = string.gsub(field, '\n', '')
  local count = line_feeds - 1
  if has_overflow(field) then
    count = count + redis.call('ZLEXCOUNT', user_sessions_overflow, '[' .. id, '[' .. id .. '\244\143\191\191')
  end
  return count
end
