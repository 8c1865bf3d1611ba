-- The five index keys come first in every script that changes a session. A script that serves many sessions must not fail
-- all of them because one is damaged. Commands that fail on a damaged session key are therefore called with pcall.
local active, users, expiry, user_sessions, user_sessions_overflow = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- The id of anonymous sessions. They have no entry in `users`, `user_sessions` or `user_sessions_overflow`.
local ANONYMOUS = '""'
