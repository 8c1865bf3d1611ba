-- The refs of a user's sessions. Most users have few sessions, so their refs are stored in one field of the hash
-- `user_sessions`: "\n<ref>\n<ref>\n". This takes a third of the memory of separate entries. When the field is full, further
-- refs are stored in the zset `user_sessions_overflow`, one member (id and ref) for each, and the field begins with "+".
-- Changes are collected here; flush_owners() writes them at the end of the script.

-- Bytes of a full field.
local MAX_FIELD = 4096

-- The fields by id, the ids whose field has changed, and the members to remove from the overflow.
local fields, changed, overflow_removals = {}, {}, {}

-- Returns whether a value has the form of a field. Refs that are appended to a damaged field would be lost.
local function is_field(value)
  return type(value) == 'string' and string.find(value, '^%+?\n') ~= nil and string.byte(value, -1) == 10
end

-- Reads the fields of the users that were not read yet. One HMGET costs a fraction of several HGET.
local function load_user_sessions(ids)
  local new = {}
  for _, id in ipairs(ids) do
    if not fields[id] then
      fields[id] = '\n'
      new[#new + 1] = id
    end
  end
  local found = redis.call('HMGET', user_sessions, unpack(new))
  for i, id in ipairs(new) do fields[id] = is_field(found[i]) and found[i] or '\n' end
end

local function field_of(id)
  if not fields[id] then load_user_sessions({ id }) end
  return fields[id]
end

-- Returns whether a user has members in the overflow. "\244\143\191\191" is U+10FFFF, the last character of UTF-8.
-- (ZLEXCOUNT would do the same, but not every mock of Redis supports it.)
local function is_in_overflow(id)
  return #redis.call('ZRANGEBYLEX', user_sessions_overflow, '[' .. id, '[' .. id .. '\244\143\191\191', 'LIMIT', '0', '1') > 0
end

-- Returns whether a field begins with "+".
local function has_overflow(field)
  return string.byte(field) == 43
end

-- Adds a ref to a user's sessions. `is_new` says that the overflow does not contain the ref.
local function add_owner(id, ref, is_new)
  local field = field_of(id)
  if string.find(field, '\n' .. ref .. '\n', 1, true) then return end
  if #field < MAX_FIELD then
    fields[id] = field .. ref .. '\n'
    if not is_new then overflow_removals[id .. ref] = true end
  else
    redis.call('ZADD', user_sessions_overflow, '0', id .. ref)
    overflow_removals[id .. ref] = nil
    if has_overflow(field) then return end
    fields[id] = '+' .. field
  end
  changed[id] = true
end

local function remove_owner(id, ref)
  local field = field_of(id)
  local from, to = string.find(field, '\n' .. ref .. '\n', 1, true)
  if from then
    fields[id] = string.sub(field, 1, from) .. string.sub(field, to + 1)
  else
    overflow_removals[id .. ref] = true
  end
  changed[id] = true
end

-- Writes the changes. A user without sessions is removed from `users` and `user_sessions`.
local function flush_owners()
  local members, updates, gone = {}, {}, {}
  for member in pairs(overflow_removals) do members[#members + 1] = member end
  if #members > 0 then redis.call('ZREM', user_sessions_overflow, unpack(members)) end
  for id in pairs(changed) do
    local field = fields[id]
    if field == '\n' or (field == '+\n' and not is_in_overflow(id)) then
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
