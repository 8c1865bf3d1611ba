--@include write-flags

-- The flags of a session say where it was used last: " lastIp=" and " lastDevice=" if they differ from those of the sign-in, which
-- are on lines 7 and 8, and " lastChange=<ms>". Their values are JSON, as on these lines, and percent-encoded.
local function encoded(json)
  return (string.gsub(json, '[^%w.:_-]', function(byte) return string.format('%%%02X', string.byte(byte)) end))
end

-- Returns the flags of a session that is used from `origin`: ip and device, as JSON, one a line; a line is empty if it is unknown.
-- Also returns the flags without those of the last use. Returns nothing if nothing has changed, or if a change was recorded
-- less than a minute ago.
local function flags_from(text, now, origin)
  local flags, ip, device =
    string.match(text, '^%d+\n%d+\n%d+\n[^ \n]+([^\n]*)\n%d+\n[^\n]*\n([^\n]*)\n([^\n]*)')
  if not flags or origin == ip .. '\n' .. device and not string.find(flags, ' last', 1, true) then return nil end
  local changed = string.match(flags, ' lastChange=(%d+)')
  if changed and math.abs(now - changed) < 60000 then return nil end
  ip, device = encoded(ip), encoded(device)
  local last_ip = string.match(flags, ' lastIp=(%S+)') or ip
  local last_device = string.match(flags, ' lastDevice=(%S+)') or device
  local new_ip, new_device = string.match(encoded(origin), '^(.*)%%0A(.*)$')
  if new_ip == '' then new_ip = last_ip end
  if new_device == '' then new_device = last_device end
  if new_ip == last_ip and new_device == last_device then return nil end
  local others = without_last_use(flags)
  flags = others .. ' lastChange=' .. now
  if new_ip ~= ip then flags = flags .. ' lastIp=' .. new_ip end
  if new_device ~= device then flags = flags .. ' lastDevice=' .. new_device end
  return flags, others
end

-- Records where a session is used now. `text` is the session's text before this use. Returns whether a change was recorded.
local function note_use(session, text, now, origin)
  if not flags_from(text, now, origin) then return false end
  -- Another call of this run may have recorded it.
  text = read(session)
  work = work + #text
  local flags, others = flags_from(text, now, origin)
  if not flags then return false end
  local written = write_flags(session, text, flags)
  if type(written) == 'string' then return true end
  -- If the header of a large session has no room, nothing is better than a place of an earlier use.
  if written == nil then write_flags(session, text, others) end
  return false
end
