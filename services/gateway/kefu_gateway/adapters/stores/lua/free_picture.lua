-- KEYS: 1 the sessions that use a picture. ARGV: 1 one that does no more. Gives 1 where nobody does now.
-- This script stands alone, without the prelude.
redis.call('SREM', KEYS[1], ARGV[1])
return redis.call('SCARD', KEYS[1]) == 0 and 1 or 0
