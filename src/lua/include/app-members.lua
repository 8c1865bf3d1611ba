-- Members of the zset `apps` describe an app. No app's name contains a brace.
--
-- <app>      when the app was last registered, ms
-- {<app>}    the number of shards in which its sessions are created; missing if that is 1
-- {<app>}~   1 if sessions may be in another shard than their user's: those of a RedisStore and of an import; else missing
-- {<app>}>   the number of shards to which it is about to move; else missing
-- {<app>}<   the number that it had before; missing if it has had one only
-- {<app>}!   1 while sessions may be in the shards of that number; else missing
-- {<app>}#   the plan of its last move, a random number; missing if it has never moved, or the move was called off

local function members_of(app)
  local numbered = '{' .. app .. '}'
  return app, numbered, numbered .. '~', numbered .. '>', numbered .. '<', numbered .. '!', numbered .. '#'
end

-- Returns the score of a member, 0 if there is none.
local function score_of(apps, member)
  return tonumber(redis.call('ZSCORE', apps, member) or 0)
end

-- Returns an app's number of shards, 0 if it is not registered.
local function shards_of(apps, app)
  local listed, numbered = members_of(app)
  local shards = score_of(apps, numbered)
  if shards > 0 then return shards end
  return redis.call('ZSCORE', apps, listed) and 1 or 0
end

-- Returns five numbers as one text: number of shards, the next one, the former one, 1 while sessions may be in the shards of the
-- former one, and the plan. 0 stands for a missing member. Lua writes numbers of up to 14 digits exactly.
local function state_of(apps, app)
  local _, _, _, next, former, moving, plan = members_of(app)
  local numbers = { shards_of(apps, app) }
  for i, member in ipairs({ next, former, moving, plan }) do numbers[1 + i] = score_of(apps, member) end
  return table.concat(numbers, ' ')
end
