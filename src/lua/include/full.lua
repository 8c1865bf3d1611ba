-- The reply for a session that would be one too many for its user.
local FULL = -5
