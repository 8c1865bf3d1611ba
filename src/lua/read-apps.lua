-- Reads the numbers of shards of apps.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1..  the apps
-- Reply  a text with two numbers for each app: its number of shards, 0 if it is not registered; and 1 if sessions may be in
--        another shard than their user's, else 0

--@include app-members

local apps = KEYS[1]

local numbers = {}
for _, app in ipairs(ARGV) do
  local _, _, spread = members_of(app)
  numbers[#numbers + 1] = shards_of(apps, app)
  numbers[#numbers + 1] = redis.call('ZSCORE', apps, spread) and 1 or 0
end
return table.concat(numbers, ' ')
