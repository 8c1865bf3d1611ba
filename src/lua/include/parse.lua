--@include session

-- Its ttl and flags, creation, id (or ANONYMOUS) and last use; nothing of a text that is no session.
local function parse(text)
  local la, ttl, flags, created, id =
    string.match(text, '^(%d+)\n%d+\n%d+\n([^ \n]+)([^\n]*)\n(%d+)\n([^\n]*)\n[^\n]*\n')
  if la then return ttl, flags, created, id ~= '' and id or ANONYMOUS, la end
end
