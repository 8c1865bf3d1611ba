-- Which sessions a user has. Most users have few, so their refs stand in one field of the hash `owners`, which takes a
-- third of the memory of an entry each: "\n<ref>\n<ref>\n". Where the field is full, further sessions stand in the zset
-- `crowd` as id and ref, one by one, and the field begins with "+". What changes is written by settle(), at the end.

-- Bytes of a full field.
local FULL = 4096

local lists, changed, leaving = {}, {}, {}

-- Whether a field has the form of one. Otherwise somebody else has spoilt it, and what is appended would be lost.
local function is_list(field)
  return type(field) == 'string' and string.find(field, '^%+?\n') ~= nil and string.byte(field, -1) == 10
end

-- Reads the fields of the users that are not known yet, at once: that costs a fraction of what it costs one by one.
local function load_owners(ids)
  local new = {}
  for _, id in ipairs(ids) do
    if not lists[id] then
      lists[id] = '\n'
      new[#new + 1] = id
    end
  end
  local found = redis.call('HMGET', owners, unpack(new))
  for i, id in ipairs(new) do lists[id] = is_list(found[i]) and found[i] or '\n' end
end

local function list_of(id)
  if not lists[id] then load_owners({ id }) end
  return lists[id]
end

-- How many entries a user has in the crowd. "\244\143\191\191" is U+10FFFF, the last character of UTF-8.
local function count_crowd(id)
  return redis.call('ZLEXCOUNT', crowd, '[' .. id, '[' .. id .. '\244\143\191\191')
end

local function is_crowded(list)
  return string.byte(list) == 43
end

-- Notes that a user has a session. `is_new` says that it does not stand in the crowd so far.
local function own(id, ref, is_new)
  local list = list_of(id)
  if string.find(list, '\n' .. ref .. '\n', 1, true) then return end
  if #list < FULL then
    lists[id] = list .. ref .. '\n'
    if not is_new then leaving[id .. ref] = true end
  else
    redis.call('ZADD', crowd, '0', id .. ref)
    leaving[id .. ref] = nil
    if is_crowded(list) then return end
    lists[id] = '+' .. list
  end
  changed[id] = true
end

local function disown(id, ref)
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
local function settle()
  local entries, fields, gone = {}, {}, {}
  for entry in pairs(leaving) do entries[#entries + 1] = entry end
  if #entries > 0 then redis.call('ZREM', crowd, unpack(entries)) end
  for id in pairs(changed) do
    local list = lists[id]
    if list == '\n' or (list == '+\n' and count_crowd(id) == 0) then
      gone[#gone + 1] = id
    else
      fields[#fields + 1] = id
      fields[#fields + 1] = list
    end
  end
  if #gone > 0 then
    redis.call('ZREM', users, unpack(gone))
    redis.call('HDEL', owners, unpack(gone))
  end
  if #fields > 0 then redis.call('HSET', owners, unpack(fields)) end
end
