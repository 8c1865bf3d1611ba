-- What a run has done so far, in bytes that it has read or searched. A run that has done as much as one may leaves the
-- rest of its calls undone, so that fat sessions do not add up. The first call is always done.
local MAX_WORK = 512 * 1024
local work = 0

-- What is replied for a call that is undone. The client makes it again.
local UNDONE = -2
-- What is replied for a call that is too much work for any run.
local TOO_MUCH = -3
