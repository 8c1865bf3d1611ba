-- Returns the reply for a session that was found: its text, or an array with its header lines if it is larger than a script reads.
local function reply_of(text)
  if type(text) ~= 'string' or #text <= MAX_TEXT then return text end
  local header = string.match(text, '^[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*\n[^\n]*')
  return header and { header } or DAMAGED
end
