--@include clock
--@include whole-ms

-- How long a session lives from now on when it is used, ms; nil when it ends when it was to.
local function next_ttl(ttl, flags)
  if string.find(flags, ' no_resave', 1, true) then return nil end
  local life, last = (tonumber(ttl) or 0) * 1000, string.match(flags, ' until (%d+)')
  -- Where it has an end, that is a moment of Redis's clock.
  if last then life = math.min(life, last - clock()) end
  if life > 0 then return whole_ms(life) end
end
