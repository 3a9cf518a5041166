-- ARGV: 2 request id. Gives the session's holder, or '' where there is none or the request did not wait. The fingerprint stays: a turn that is already running may still answer the request.
if redis.call('ZREM', INBOX, ARGV[2]) == 0 then return {'', ''} end
redis.call('HDEL', REQUESTS, 'e:' .. ARGV[2])
return {running_holder(), settle()}
