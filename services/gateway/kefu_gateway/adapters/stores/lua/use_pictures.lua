-- ARGV: 2 µs that an inbox lives, 3… hashes
live_at_least(now + tonumber(ARGV[2]))
for place = 3, #ARGV do redis.call('SADD', PICTURES, ARGV[place]) end
return 1
