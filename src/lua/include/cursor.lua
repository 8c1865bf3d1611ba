-- A place in the zset that is the script's first key: behind one of its members, whether that is still there or not. A page ends at a place, and the next
-- page begins there. It is a text of ASCII, `<score> <member>`, so that a client may decode and encode it whatever bytes
-- the member has.
local zset = KEYS[1]

local function cursor_of(member)
  local function escape(byte) return string.format('%%%02x', string.byte(byte)) end
  return redis.call('ZSCORE', zset, member) .. ' ' .. string.gsub(member, '[%%\128-\255]', escape)
end

-- Whether a member stands before another of the same score. Redis compares bytes; Lua's `<` compares as the locale does.
local function precedes(one, other)
  for i = 1, math.min(#one, #other) do
    local a, b = string.byte(one, i), string.byte(other, i)
    if a ~= b then return a < b end
  end
  return #one < #other
end

-- The rank of the first member that does not stand before a place, and the place's add_owner member.
local function rank_of(place)
  local score, text = string.match(place, '^(%S+) (.*)$')
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
