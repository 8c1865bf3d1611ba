-- The five index keys come first in every script that changes a session. A script that serves many sessions lets none
-- fail the others: what may fail because somebody else has spoilt a session's key goes by pcall.
local active, users, expiry, user_sessions, user_sessions_overflow = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- What stands for "no user": anonymous sessions have no entry in users, user_sessions and user_sessions_overflow.
local ANONYMOUS = '""'
