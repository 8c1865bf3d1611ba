--@include session

-- Its ttl and terms, creation, id (or NOBODY) and last use; nothing of a text that is no session.
local function parse(text)
  local la, ttl, terms, created, id =
    string.match(text, '^(%d+)\n%d+\n%d+\n([^ \n]+)([^\n]*)\n(%d+)\n([^\n]*)\n[^\n]*\n')
  if la then return ttl, terms, created, id ~= '' and id or NOBODY, la end
end
