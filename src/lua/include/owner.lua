-- The id in a session's hash, or NOBODY. A missing field is `false` in Redis, but not in every stand-in.
local function owner(id)
  return type(id) == 'string' and id or NOBODY
end
