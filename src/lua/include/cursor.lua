-- A cursor marks the end of a page in the zset that is the script's first key: the score and the name of the page's last
-- member. It stays valid when that member is removed. Its form is `<score> <member>` in ASCII, so that a client can decode
-- and encode it whatever bytes the member has.
local zset = KEYS[1]

local function cursor_of(member)
  local function escape(byte) return string.format('%%%02x', string.byte(byte)) end
  return redis.call('ZSCORE', zset, member) .. ' ' .. string.gsub(member, '[%%\128-\255]', escape)
end

-- Returns whether a member sorts before another of the same score. Redis compares bytes; Lua's `<` depends on the locale.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- Returns the rank of the first member that does not sort before the cursor, and the cursor's member.
local function rank_of(cursor)
  local score, text = string.match(cursor, '^(%S+) (.*)$')
  local member = string.gsub(text, '%%(%x%x)', function(hex) return string.char(tonumber(hex, 16)) end)
  local low = redis.call('ZCOUNT', zset, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', zset, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if precedes(redis.call('ZRANGE', zset, middle, middle)[1], member) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low, member
end
