-- ARGV: 2 request id. The fingerprint stays: a turn that is already running may still answer the request.
if redis.call('ZREM', INBOX, ARGV[2]) == 0 then return 0 end
redis.call('HDEL', REQUESTS, 'e:' .. ARGV[2])
settle()
return 1
