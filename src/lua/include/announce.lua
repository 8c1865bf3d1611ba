-- Announces changes of sessions. Only the announcing variants of scripts contain this file, see embed.js. They have one more key
-- and three more arguments, before all others:
--
-- KEYS   1    the stream of the app's events
-- ARGV   1    'PUBLISH', or 'SPUBLISH' on a Cluster
--        2    about how many events the stream keeps; 0 for no stream
--        3    why sessions end, for the scripts that end them at the wish of a caller
--
-- All changes of a run are one message on the channel `<namespace>:{app}:changes`. Its first line is the time, ms of Redis's
-- clock. Four lines follow for each change: kind ("created", "changed", "rotated" or "ended"); ref; id as JSON, empty for an
-- anonymous session; and for "ended" the reason, for "rotated" the new ref, otherwise an empty line.

--@include clock

local stream = KEYS[1]
table.remove(KEYS, 1)
local publish_command, max_events, reason = ARGV[1], tonumber(ARGV[2]), ARGV[3]
for _ = 1, 3 do table.remove(ARGV, 1) end

-- How long the stream outlives its last event, ms: 30 days. The streams of apps that are no longer used would remain otherwise.
local STREAM_TTL = 2592000000

local announced = {}

-- Adds a change to the message of this run.
local function announce(kind, ref, id, detail)
  local n = #announced
  if not id or id == '""' then id = '' end
  announced[n + 1], announced[n + 2], announced[n + 3], announced[n + 4] = kind, ref, id, detail or ''
end

-- Returns the id in a session's text.
local function id_in(text)
  return string.match(text, '^%d+\n%d+\n%d+\n[^\n]*\n%d+\n([^\n]*)')
end

-- Must be called before a run returns that may have changed sessions. Fails with an error that begins with UNANNOUNCED if Redis
-- refuses a command, for example because the Redis user has no right for the channel. The changes were made by then.
local function publish()
  if #announced == 0 then return end
  local refusal
  if max_events > 0 then
    for i = 1, #announced, 4 do
      local added = redis.pcall('XADD', stream, 'MAXLEN', '~', max_events, '*',
        'kind', announced[i], 'ref', announced[i + 1], 'id', announced[i + 2], 'detail', announced[i + 3])
      if type(added) == 'table' then refusal = added.err end
    end
    redis.call('PEXPIRE', stream, STREAM_TTL)
  end
  local channel = string.match(stream, '^.*:') .. 'changes'
  local message = string.format('%.0f', clock()) .. '\n' .. table.concat(announced, '\n')
  local sent
  if publish_command == 'SPUBLISH' then
    sent = redis.pcall('SPUBLISH', channel, message)
    -- A Cluster of Redis 6 does not have the command.
    if type(sent) == 'table' and string.find(sent.err, 'nknown', 1, true) then sent = nil end
  end
  sent = sent or redis.pcall('PUBLISH', channel, message)
  if type(sent) == 'table' then refusal = sent.err end
  if refusal then error('UNANNOUNCED ' .. refusal, 0) end
end
