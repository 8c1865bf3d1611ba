-- Writes the fields and values that stand in ARGV from `first` to `last`, as many at a time as Lua's stack can unpack.
local function write_fields(session, first, last)
  for i = first, last, 1000 do
    redis.call('HSET', session, unpack(ARGV, i, math.min(i + 999, last)))
  end
end

-- Removes the fields that stand there.
local function remove_fields(session, first, last)
  for i = first, last, 1000 do
    redis.call('HDEL', session, unpack(ARGV, i, math.min(i + 999, last)))
  end
end
