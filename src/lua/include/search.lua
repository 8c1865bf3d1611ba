-- The maximum number of changes in one call. Each change becomes a Lua string. A caller who chooses keys with equal hashes
-- would make that take time in the square of their number.
local MAX_CHANGES = 500
-- The maximum number of bytes that are searched for the keys of one call.
local MAX_SEARCHED = 2 * 1024 * 1024

-- Finds the lines that change, and returns the text from the position `rest` on with its changes, in pieces, and the number
-- of added keys (negative if more were removed). Returns nothing if that is too much work. The data begins at `start`.
--
-- A line of `changes` is `"key":value`, or `"key":` alone to remove the key. Each line has a line feed in front. A quoted key
-- contains no quotation mark, so the search for a key cannot match any other line. Keys in the order of the text are found
-- in one pass.
local function merge(text, rest, start, changes)
  local find, sub = string.find, string.sub
  local froms, tos, lines, new = {}, {}, {}, {}
  local count, searched, added, at, sorted = 0, 0, 0, start, true
  for line, key in string.gmatch(changes, '((\n"[^"]*":)[^\n]*)') do
    count = count + 1
    local is_removal = #line == #key
    local from, to = find(text, key, at, true)
    searched = searched + (from or #text) - at
    if not from and at > start then
      from, to = find(text, key, start, true)
      searched = searched + (from or #text) - start
      if from then sorted = false end
    end
    if count > MAX_CHANGES or searched > MAX_SEARCHED then return nil end
    if from then
      local following = find(text, '\n', to, true) or #text + 1
      local i = #froms + 1
      froms[i], tos[i], lines[i] = from, following, is_removal and '' or line
      if is_removal then added = added - 1 end
      at = following
    elseif not is_removal then
      new[#new + 1] = line
      added = added + 1
    end
  end
  work = work + searched / 4
  local order = {}
  for i = 1, #froms do order[i] = i end
  if not sorted then table.sort(order, function(a, b) return froms[a] < froms[b] end) end
  local pieces, done = {}, rest
  for _, i in ipairs(order) do
    pieces[#pieces + 1] = sub(text, done, froms[i] - 1)
    pieces[#pieces + 1] = lines[i]
    done = tos[i]
  end
  pieces[#pieces + 1] = sub(text, done)
  for _, line in ipairs(new) do pieces[#pieces + 1] = line end
  return pieces, added
end

-- Returns whether a text has more than `max_keys` keys. `start` is the position of the line feed before the first key.
local function has_more_keys(text, start, max_keys)
  -- The shortest line has five bytes: `"":0` and the line feed.
  if #text - start + 1 < 5 * max_keys then return false end
  local find, keys, at = string.find, 0, start
  while at and keys <= max_keys do
    at = find(text, '\n', at, true)
    if at then keys, at = keys + 1, at + 1 end
  end
  return keys > max_keys
end
