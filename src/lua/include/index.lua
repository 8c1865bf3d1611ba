-- The four index keys come first in every script that changes a session.
local active, users, expiry, owners = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

-- What stands for "no user": anonymous sessions have no entry in users and owners.
local NOBODY = '""'
