-- Removes a session from the index, and its user when this was the last session.
local function forget(id, ref)
  redis.call('ZREM', active, ref)
  redis.call('ZREM', expiry, id .. ref)
  if id ~= NOBODY then
    redis.call('ZREM', owners, id .. ref)
    -- "\244\143\191\191" is U+10FFFF, the last character of UTF-8.
    local others = redis.call('ZRANGEBYLEX', owners, '[' .. id, '[' .. id .. '\244\143\191\191', 'LIMIT', 0, 1)
    if #others == 0 then redis.call('ZREM', users, id) end
  end
end
