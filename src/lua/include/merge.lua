--@include work

-- The replies for a session whose data would have too many bytes, or too many keys.
local TOO_LARGE, TOO_MANY = -1, -4

-- Merges `changes` into a session's text. Returns the new text, or one of TOO_LARGE, TOO_MANY and TOO_MUCH.
-- `start` is the position of the data in `text`. `head` replaces everything before the position `rest`.
-- A session that already exceeds a limit may be changed as long as it does not grow.
local function merge_within(head, text, rest, start, changes, max_bytes, max_keys)
  -- Most calls change a few keys of a small session. Applying these one by one is faster than collecting the pieces.
  if #text * #changes < 100000 and #text - start + #changes < 5 * max_keys and #text - start + #changes < max_bytes then
    local find, sub = string.find, string.sub
    local new, before, at = text, head, rest
    for line, key in string.gmatch(changes, '((\n"[^"]*":)[^\n]*)') do
      local from, to = find(new, key, at, true)
      if #line == #key then line = '' end
      if from then
        local following = find(new, '\n', to, true)
        new = before .. sub(new, at, from - 1) .. line .. (following and sub(new, following) or '')
      else
        new = before .. sub(new, at) .. line
      end
      before, at = '', 1
    end
    return at == 1 and new or head .. sub(text, rest)
  end

  -- Included here because runs for small sessions would otherwise create these functions for nothing.
  --@include search
  --@include pad-numbers

  local pieces, added = merge(text, rest, start, changes)
  if not pieces then return TOO_MUCH end
  table.insert(pieces, 1, head)
  local new = table.concat(pieces)
  local old_size, new_size = #text - start + 1, #new - #head - (start - rest)
  if new_size > max_bytes and new_size > old_size then return TOO_LARGE end
  if added > 0 and has_more_keys(new, #head + 1 + start - rest, max_keys) then return TOO_MANY end
  -- From now on its numbers change in place, see get.lua.
  return #new > MAX_TEXT and pad_numbers(new) or new
end
