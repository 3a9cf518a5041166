-- ARGV: 2 holder, 3 lease in µs, 4 µs that an inbox lives. Gives the fence, or false.
live_at_least(now + tonumber(ARGV[4]))
return take_lease(ARGV[2], tonumber(ARGV[3]))
