-- The work of this run so far, in bytes that it has read or searched. A run that exceeds MAX_WORK skips its remaining calls, so
-- that large sessions in one run do not block Redis too long. The first call is never skipped.
local MAX_WORK = 512 * 1024
local work = 0

-- The reply for a skipped call. The client repeats it.
local UNDONE = -2
-- The reply for a call that is too much work for any run.
local TOO_MUCH = -3
