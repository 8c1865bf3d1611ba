-- The refs of a user's sessions. Most users have few sessions, so their refs are stored in one field of the hash
-- `user_sessions`: "\n<ref>\n<ref>\n". This takes a third of the memory of separate entries. When the field is full, further
-- refs are stored in the zset `user_sessions_overflow`, one member (id and ref) for each, and the field begins with "+".
-- Changes are collected here by add_owner() and remove_owner(); flush_owners() writes them at the end of the script.

-- Bytes of a full field.
local MAX_FIELD = 4096

-- The fields by id, the ids whose field has changed, and the members to remove from the overflow.
local fields, changed, overflow_removals = {}, {}, {}

-- Keeps a field that was read. A damaged field is read as an empty one, because refs that are appended to it would be lost.
local function keep_field(id, field)
  if field and string.find(field, '^%+?\n') and string.byte(field, -1) == 10 then
    fields[id] = field
  else
    fields[id] = '\n'
  end
end

local function field_of(id)
  if not fields[id] then keep_field(id, redis.call('HGET', user_sessions, id)) end
  return fields[id]
end

-- Reads the fields of several users. One HMGET costs a fraction of several HGET.
local function load_user_sessions(ids)
  if #ids == 1 then return end
  local new = {}
  for _, id in ipairs(ids) do
    if not fields[id] then
      fields[id] = '\n'
      new[#new + 1] = id
    end
  end
  local found = redis.call('HMGET', user_sessions, unpack(new))
  for i, id in ipairs(new) do keep_field(id, found[i]) end
end

-- Returns whether a field begins with "+".
local function has_overflow(field)
  return string.byte(field) == 43
end

-- Writes the changes. A user without sessions is removed from `users` and `user_sessions`.
local function flush_owners()
  if next(overflow_removals) then
    local members = {}
    for member in pairs(overflow_removals) do members[#members + 1] = member end
    redis.call('ZREM', user_sessions_overflow, unpack(members))
  end
  local updates, gone = {}, {}
  for id in pairs(changed) do
    local field = fields[id]
    local is_empty = field == '\n'
    if field == '+\n' then
      -- "\244\143\191\191" is U+10FFFF, the last character of UTF-8. (Not every mock of Redis supports ZLEXCOUNT.)
      local first, last = '[' .. id, '[' .. id .. '\244\143\191\191'
      is_empty = #redis.call('ZRANGEBYLEX', user_sessions_overflow, first, last, 'LIMIT', '0', '1') == 0
    end
    if is_empty then
      gone[#gone + 1] = id
    else
      updates[#updates + 1] = id
      updates[#updates + 1] = field
    end
  end
  if #gone > 0 then
    redis.call('ZREM', users, unpack(gone))
    redis.call('HDEL', user_sessions, unpack(gone))
  end
  if #updates > 0 then redis.call('HSET', user_sessions, unpack(updates)) end
end
