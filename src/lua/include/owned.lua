-- Up to `limit` of the entries of a user's sessions. "\244\143\191\191" is U+10FFFF, the last character of UTF-8.
local function owned(id, limit)
  return redis.call('ZRANGEBYLEX', owners, '[' .. id, '[' .. id .. '\244\143\191\191', 'LIMIT', 0, limit)
end
