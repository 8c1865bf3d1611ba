--@include session

-- Returns a session's ttl, flags (without the spaces after them), time of creation, id (or ANONYMOUS) and time of last use;
-- nothing if the text is not a session.
local function parse(text)
  local la, ttl, flags, created, id =
    string.match(text, '^(%d+)\n%d+\n%d+\n([^ \n]+)([^\n]-) *\n(%d+)\n([^\n]*)\n[^\n]*\n')
  if la then return ttl, flags, created, id ~= '' and id or ANONYMOUS, la end
end
