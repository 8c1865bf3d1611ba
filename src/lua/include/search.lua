-- More changes than this are not looked for one by one. Each becomes a string of Lua, and whoever chooses keys that have
-- the same hash makes that as slow as the square of their number.
local MOST_CHANGES = 500
-- How many bytes may be searched for the keys of one call.
local MOST_SEARCHED = 2 * 1024 * 1024

-- Looks for the lines that change. A line of `changes` is `"key":value`, or `"key":` alone to remove the key; each has a
-- line feed in front of it. There is no quotation mark within a key, so no other line of the text can be taken for that
-- of a key. Keys that come in the order of the text are found in one pass.
--
-- Returns the text from `rest` on with its changes, in pieces; and how many keys more it has. Nothing where that is too
-- much work. Its data begins at `start`.
local function merge(text, rest, start, changes)
  local find, sub = string.find, string.sub
  local froms, tos, lines, new = {}, {}, {}, {}
  local count, searched, grown, at, sorted = 0, 0, 0, start, true
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
    if count > MOST_CHANGES or searched > MOST_SEARCHED then return nil end
    if from then
      local following = find(text, '\n', to, true) or #text + 1
      local i = #froms + 1
      froms[i], tos[i], lines[i] = from, following, is_removal and '' or line
      if is_removal then grown = grown - 1 end
      at = following
    elseif not is_removal then
      new[#new + 1] = line
      grown = grown + 1
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
  return pieces, grown
end

-- Whether a text has more than `most` keys behind `start`, the line feed of the first.
local function has_more_keys(text, start, most)
  -- The shortest line has five bytes: `"":0` and the line feed.
  if #text - start + 1 < 5 * most then return false end
  local find, keys, at = string.find, 0, start
  while at and keys <= most do
    at = find(text, '\n', at, true)
    if at then keys, at = keys + 1, at + 1 end
  end
  return keys > most
end
