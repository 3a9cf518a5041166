-- ARGV: 2 fence, 3 lease in µs. Gives 1 or 0.
if not holds(ARGV[2]) then return 0 end
local until_ = now + tonumber(ARGV[3])
redis.call('HSET', LEASE, 'until', whole(until_))
redis.call('PEXPIRE', LEASE, whole(math.ceil((until_ - now) / 1000) + 86400000))
return 1
