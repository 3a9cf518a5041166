-- ARGV: 2 after which number, 3 how many at most
if tonumber(ARGV[3]) < 1 then return {} end
return redis.call('LRANGE', TURNS, ARGV[2], tonumber(ARGV[2]) + tonumber(ARGV[3]) - 1)
