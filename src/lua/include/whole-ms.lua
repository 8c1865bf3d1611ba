-- Rounds a TTL to whole ms, at least 1, as Redis requires.
local function whole_ms(ttl_ms)
  return math.max(math.floor(ttl_ms + 0.5), 1)
end
