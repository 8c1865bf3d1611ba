--@include clock
--@include whole-ms

-- Returns the TTL in ms that a session gets when it is used; nil to keep the current expiry.
local function next_ttl(ttl, flags)
  local ttl_ms = (tonumber(ttl) or 0) * 1000
  -- Most sessions have no flags.
  if flags ~= '' then
    if string.find(flags, ' no_resave', 1, true) then return nil end
    local end_ms = string.match(flags, ' until (%d+)')
    if end_ms then ttl_ms = math.min(ttl_ms, end_ms - clock()) end
  end
  if ttl_ms > 0 then return whole_ms(ttl_ms) end
end
