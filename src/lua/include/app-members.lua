-- Three members of the zset `apps` describe an app. No app's name contains a brace.
--
-- <app>      when the app was last registered, ms
-- {<app>}    its number of shards; missing if it has one
-- {<app>}~   1 if sessions may be in another shard than their user's: those of a RedisStore and of an import; else missing

local function members_of(app)
  return app, '{' .. app .. '}', '{' .. app .. '}~'
end

-- Returns an app's number of shards, 0 if it is not registered.
local function shards_of(apps, app)
  local listed, numbered = members_of(app)
  local shards = redis.call('ZSCORE', apps, numbered)
  if shards then return tonumber(shards) end
  return redis.call('ZSCORE', apps, listed) and 1 or 0
end
