-- ARGV: 2 µs to live, 3 created, 4 updated, 5 chain, 6 how many turns,
--   then for each: "<chain> <turn>", how many requests, they. Gives 1, or 0 where the session exists.
-- The pictures are noted before.
if meta('turns') > 0 or redis.call('ZCARD', INBOX) > 0 then return 0 end
local place = 7
for number = 1, tonumber(ARGV[6]) do
  redis.call('RPUSH', TURNS, ARGV[place])
  local count = tonumber(ARGV[place + 1])
  for index = place + 2, place + 1 + count do
    redis.call('HSET', REQUESTS, 'o:' .. ARGV[index], 'T' .. number)
  end
  place = place + 2 + count
end
local alive = now + tonumber(ARGV[2])
redis.call('HSET', META, 'created', ARGV[3], 'updated', ARGV[4], 'chain', ARGV[5],
  'turns', ARGV[6], 'expires', whole(alive))
live(alive)
return 1
