-- ARGV: 2 fence, 3 "F<failure>", 4… request ids. Gives as settle(), or false where the lease is lost.
if not holds(ARGV[2]) then return false end
for place = 4, #ARGV do
  local id = ARGV[place]
  if redis.call('ZREM', INBOX, id) == 1 then
    redis.call('HDEL', REQUESTS, 'e:' .. id)
    redis.call('HSET', REQUESTS, 'o:' .. id, ARGV[3])
  end
end
return settle()
