-- KEYS: 1 the index of sessions by when to look at them. ARGV: 1 a session, 2 seconds, now.
-- Takes the session out, unless it came back meanwhile and is to be looked at later. Without the prelude.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if due and tonumber(due) <= tonumber(ARGV[2]) then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 1
