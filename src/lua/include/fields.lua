--@include lines

-- Writes fields and values that are given as lines, as many at a time as Lua's stack can unpack.
local function write_fields(session, text)
  local fields, count = lines(text)
  for i = 1, count, 1000 do
    redis.call('HSET', session, unpack(fields, i, math.min(i + 999, count)))
  end
end

-- Removes the fields that are given so.
local function remove_fields(session, text)
  local fields, count = lines(text)
  for i = 1, count, 1000 do
    redis.call('HDEL', session, unpack(fields, i, math.min(i + 999, count)))
  end
end
