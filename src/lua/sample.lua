-- Reads entries of `expiry` at random positions, expired or not.
--
-- KEYS   1    expiry
-- ARGV   1    number of entries
--        2    seed of the random positions, an integer
-- Reply  the entries (id as JSON, followed by the ref): all if there are no more than asked for, otherwise some may be repeated

local expiry = KEYS[1]
local count, seed = tonumber(ARGV[1]), tonumber(ARGV[2])

local size = redis.call('ZCARD', expiry)
if size <= count then return redis.call('ZRANGE', expiry, 0, -1) end
-- Without it, Redis returns the same numbers in each run of a script.
math.randomseed(seed)
local entries = {}
for i = 1, count do
  local rank = math.random(0, size - 1)
  entries[i] = redis.call('ZRANGE', expiry, rank, rank)[1]
end
return entries
