-- Reads where the sessions of apps are.
--
-- KEYS   1    apps, see include/app-members.lua
-- ARGV   1..  the apps
-- Reply  a text with a line for each app: 1 if sessions may be in another shard than their user's, else 0; and its state, see
--        include/app-members.lua, which begins with 0 if it is not registered

--@include app-members

local apps = KEYS[1]

local lines = {}
for i, app in ipairs(ARGV) do
  local _, _, spread = members_of(app)
  lines[i] = score_of(apps, spread) .. ' ' .. state_of(apps, app)
end
return table.concat(lines, '\n')
