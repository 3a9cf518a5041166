-- ARGV: 2 fence. Gives 1 where the lease was given back.
if not holds(ARGV[2]) or redis.call('ZCARD', INBOX) > 0 then return 0 end
redis.call('HDEL', LEASE, 'holder', 'until')
return 1
