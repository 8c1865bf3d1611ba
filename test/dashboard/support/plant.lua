-- Writes sessions and their index entries, as the engine would, but many at once.
--
-- ARGV   1    prefix of the app's keys
--        2    number of the first session
--        3    number after the last session
--        4    now, ms
local prefix, first, last, now = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local devices = { 'Firefox on Windows', 'Chrome on Android', 'Safari on iOS', 'Chrome on macOS' }
local week = 7 * 86400000

for i = first, last - 1 do
  local ref = string.format('%027d', i)
  local id = string.format('"user-%d"', math.floor(i / 10))
  local la = string.format('%.0f', now - i * 1000)
  local device = devices[i % #devices + 1]
  local text = la .. '\n3\n1\n604800\n' .. la .. '\n' .. id .. '\n"203.0.113.7"\n"' .. device .. '"\n"cart":3'
  redis.call('SET', prefix .. 's:' .. ref, text, 'PX', week)
  redis.call('ZADD', prefix .. 'active', la, ref)
  redis.call('ZADD', prefix .. 'users', 'GT', la, id)
  redis.call('ZADD', prefix .. 'expiry', string.format('%.0f', now + week), id .. ref)
  local refs = redis.call('HGET', prefix .. 'user-sessions', id) or '\n'
  redis.call('HSET', prefix .. 'user-sessions', id, refs .. ref .. '\n')
end
