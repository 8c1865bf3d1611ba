-- Which sessions a user has. Most users have few, so their refs stand in one field of the hash `user_sessions`, which takes a
-- third of the memory of an entry each: "\n<ref>\n<ref>\n". Where the field is full, further sessions stand in the zset
-- `user_sessions_overflow` as id and ref, one by one, and the field begins with "+". What changes is written by flush_owners(), at the end.

-- Bytes of a full field.
local FULL = 4096

local lists, changed, leaving = {}, {}, {}

-- Whether a field has the form of one. Otherwise somebody else has spoilt it, and what is appended would be lost.
local function is_list(field)
  return type(field) == 'string' and string.find(field, '^%+?\n') ~= nil and string.byte(field, -1) == 10
end

-- Reads the fields of the users that are not known yet, at once: that costs a fraction of what it costs one by one.
local function load_user_sessions(ids)
  local new = {}
  for _, id in ipairs(ids) do
    if not lists[id] then
      lists[id] = '\n'
      new[#new + 1] = id
    end
  end
  local found = redis.call('HMGET', user_sessions, unpack(new))
  for i, id in ipairs(new) do lists[id] = is_list(found[i]) and found[i] or '\n' end
end

local function list_of(id)
  if not lists[id] then load_user_sessions({ id }) end
  return lists[id]
end

-- Whether a user has entries in the user_sessions_overflow. "\244\143\191\191" is U+10FFFF, the last character of UTF-8. (ZLEXCOUNT would
-- do, but not every stand-in has it.)
local function is_in_crowd(id)
  return #redis.call('ZRANGEBYLEX', user_sessions_overflow, '[' .. id, '[' .. id .. '\244\143\191\191', 'LIMIT', '0', '1') > 0
end

local function has_overflow(list)
  return string.byte(list) == 43
end

-- Notes that a user has a session. `is_new` says that it does not stand in the user_sessions_overflow so far.
local function add_owner(id, ref, is_new)
  local list = list_of(id)
  if string.find(list, '\n' .. ref .. '\n', 1, true) then return end
  if #list < FULL then
    lists[id] = list .. ref .. '\n'
    if not is_new then leaving[id .. ref] = true end
  else
    redis.call('ZADD', user_sessions_overflow, '0', id .. ref)
    leaving[id .. ref] = nil
    if has_overflow(list) then return end
    lists[id] = '+' .. list
  end
  changed[id] = true
end

local function remove_owner(id, ref)
  local list = list_of(id)
  local from, to = string.find(list, '\n' .. ref .. '\n', 1, true)
  if from then
    lists[id] = string.sub(list, 1, from) .. string.sub(list, to + 1)
  else
    leaving[id .. ref] = true
  end
  changed[id] = true
end

-- Writes what has changed. A user whose last session has gone leaves `users`, too.
local function flush_owners()
  local entries, fields, gone = {}, {}, {}
  for entry in pairs(leaving) do entries[#entries + 1] = entry end
  if #entries > 0 then redis.call('ZREM', user_sessions_overflow, unpack(entries)) end
  for id in pairs(changed) do
    local list = lists[id]
    if list == '\n' or (list == '+\n' and not is_in_crowd(id)) then
      gone[#gone + 1] = id
    else
      fields[#fields + 1] = id
      fields[#fields + 1] = list
    end
  end
  if #gone > 0 then
    redis.call('ZREM', users, unpack(gone))
    redis.call('HDEL', user_sessions, unpack(gone))
  end
  if #fields > 0 then redis.call('HSET', user_sessions, unpack(fields)) end
end
